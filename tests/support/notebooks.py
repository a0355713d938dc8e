"""Executes the documentation's notebooks in a kernel of their own, whole or in a smaller form."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from tests.support import commands

FOLDER = commands.ROOT / "docs" / "tutorials"
PATHS = sorted(FOLDER.glob("*.ipynb"))
# Keras copies its variables into a file in a way that NumPy 2 deprecates.
STRICT = """
import warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy")
"""


def read(path):
    """A notebook of nbformat 4."""
    return nbformat.read(path, as_version=4)


def as_markdown(path):
    """The text of a page; of a notebook, cells of code become blocks, and outputs are left out."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(
        cell.source if cell.cell_type == "markdown" else f"```\n{cell.source}\n```"
        for cell in read(path).cells
    )


def execute(path, folder, smaller=(), strict=False):
    """A notebook with the outputs of an execution in `folder`; a cell that fails raises.

    Args:
        path: the notebook, which stays as it is.
        folder: where its cells run and write.
        smaller: pairs of texts; each first one must occur in a cell and becomes the second.
        strict: warnings in Python cells are errors.
    """
    notebook = read(path)
    for old, new in smaller:
        cells = [cell for cell in notebook.cells if old in cell.source]
        assert cells, f"{path.name} does not say {old!r}"
        for cell in cells:
            cell.source = cell.source.replace(old, new)
    if strict:
        notebook.cells.insert(0, new_code_cell(STRICT))
    client = NotebookClient(
        notebook,
        timeout=1800,
        resources={"metadata": {"path": os.fspath(folder)}},
        record_timing=False,
        coalesce_streams=True,  # one output per cell and stream, however a command flushed
    )
    client.execute(env=environment())
    return notebook


def environment():
    """The variables of a kernel that finds this package, and whose `python` is this interpreter."""
    return {
        **os.environ,
        **commands.ENVIRONMENT,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": str(commands.ROOT),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the debugger warns of frozen modules
    }


def printed(notebook):
    """What all cells printed to stdout, as one text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.get("name") == "stdout")
