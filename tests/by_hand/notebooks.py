"""Executes tutorials that are notebooks and keeps their outputs, without what TensorFlow logs.

python -m tests.by_hand.notebooks first-run fine-tuning
"""

import sys
import tempfile

import nbformat

from tests.support import notebooks


def keep_outputs(path):
    """Writes a notebook anew with the outputs of all its cells; minutes for runs that train."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = notebooks.execute(path, folder)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata.language_info = {"name": "python"}  # a kernel adds its version
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        keep_outputs(notebooks.FOLDER / f"{name}.ipynb")
