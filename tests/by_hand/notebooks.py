"""Writes the parts of the tutorials that are made: how notebooks begin, and what they printed.

python -m tests.by_hand.notebooks                        # the first two cells of all notebooks
python -m tests.by_hand.notebooks first-run fine-tuning  # these and the outputs of these notebooks

The first cell has a link to Colab and the second one installs from the repository as soon as
`Repository` stands in `[project.urls]` of pyproject.toml. Outputs are kept without what TensorFlow
logs.
"""

import sys
import tempfile
import tomllib

import nbformat

from tests.support import commands, notebooks

# The extras of the package that notebooks need.
EXTRAS = {"own-pictures": "[robohash]", "production": "[serve]"}
NOTE = """*This page is the notebook `docs/tutorials/{name}.ipynb`, which runs in Jupyter and Colab.
Where the package is missing, this cell installs it by pip from {source}.*"""
WHEEL = """a wheel in the notebook's folder. In a
checkout of the repository, `pip wheel --no-deps .` makes this wheel. On
[Colab](https://colab.research.google.com), upload both files"""
INSTALL = """import importlib.util

if importlib.util.find_spec("sagan_tf") is None:
    %pip install --quiet "{package}\""""
# Without the version that a kernel adds. This lexer knows cells of bash and lines with `%`.
LANGUAGE = {"name": "python", "pygments_lexer": "ipython3"}
GITHUB = "https://github.com/"
BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{repository}/blob/main/docs/tutorials/{name}.ipynb)"
)


def public_address():
    """The repository's address on GitHub, or None while pyproject.toml names none."""
    project = tomllib.loads((commands.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return project["project"].get("urls", {}).get("Repository")


def beginning(name, title, address):
    """The texts of a notebook's first two cells: how to run it, and what installs the package.

    Args:
        name: the notebook's name.
        title: its first line.
        address: the repository's on GitHub, or None.
    """
    source, package = WHEEL, f"$(ls sagan_tf-*.whl){EXTRAS.get(name, '')}"
    if address is not None:
        assert address.startswith(GITHUB), f"Colab opens notebooks of {GITHUB} only: {address}"
        title += "\n\n" + BADGE.format(name=name, repository=address.removeprefix(GITHUB))
        source, package = "its repository", f"sagan_tf{EXTRAS.get(name, '')} @ git+{address}"
    note = NOTE.format(name=name, source=source)
    return f"{title}\n\n{note}", INSTALL.format(package=package)


def write_beginning(path):
    """Writes a notebook anew with the first two cells that `beginning` gives it."""
    notebook = notebooks.read(path)
    note, install = notebook.cells[:2]
    title = note.source.partition("\n")[0]
    note.source, install.source = beginning(path.stem, title, public_address())
    nbformat.write(notebook, path)


def keep_outputs(path):
    """Writes a notebook anew with the outputs of all its cells; minutes for runs that train."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = notebooks.execute(path, folder)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata.language_info = LANGUAGE
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for one in notebooks.PATHS:
        write_beginning(one)
    for name in sys.argv[1:]:
        keep_outputs(notebooks.FOLDER / f"{name}.ipynb")
