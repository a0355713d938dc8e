"""Who may import whom. A new module belongs into one of the three tables below."""

import ast
import re
import sys
from pathlib import Path

import pytest

import sagan_tf
from tests.by_hand import house

PACKAGE = Path(sagan_tf.__file__).parent

# In the order the data flows: a library imports only from libraries before it.
LIBRARIES = [
    "registration",
    "extras",
    "class_names",
    "output",
    "machine",
    "geotex",
    "data",
    "architecture",
    "layers",
    "models",
    "published",
    "losses",
    "run",
    "pretrained",
    "sampling",
    "attention",
    "latent",
    "serving",
    "evaluation",
    "training",
]
# They wire the libraries, and nothing imports them; so does a library's own `__main__`.
COMMANDS = {
    "train",
    "prepare",
    "convert",
    "sample",
    "evaluate",
    "attend",
    "export",
    "publish",
    "serve",
    "playground",
    "study",
    "benchmark",
    "__main__",
}
# What commands share: settings and flags. Libraries take plain arguments instead.
SHARED_BY_COMMANDS = {"command", "config", "fields"}
# What those may import of the libraries: what is read before Keras is imported.
BEFORE_KERAS = {"extras", "machine", "architecture"}
# Modules of `training` that read settings: they make networks, a session or an estimate of them.
BUILDERS = {"build", "dry_run", "resuming", "session"}

# These run on every Keras backend.
BACKEND_FREE = {"architecture", "layers", "models", "losses"}
# Names that collect what has no place.
VAGUE_NAMES = {"utils", "util", "helpers", "common", "misc"}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def unit_of(path):
    """The module or sub-package of `sagan_tf` that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


UNITS = {unit_of(path) for path in FILES}


def imported_names(path):
    """Every module a file names in an import, wherever it stands, as absolute dotted names."""
    package = ("sagan_tf", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *([node.module] if node.module else [])])
            # `from sagan_tf import losses` names a module, `from keras import ops` an attribute.
            yield from (f"{source}.{alias.name}" for alias in node.names)


def imported_units(path):
    """The other modules of `sagan_tf` that a file imports."""
    parts = [name.split(".") for name in imported_names(path)]
    return {part[1] for part in parts if part[0] == "sagan_tf" and part[1:]} & UNITS - {
        unit_of(path)
    }


def test_every_module_has_a_place():
    assert set(LIBRARIES) | COMMANDS | SHARED_BY_COMMANDS == UNITS


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_data(path):
    unit = unit_of(path)
    allowed = set(LIBRARIES)
    if unit in COMMANDS or path.stem == "__main__":
        allowed = set(LIBRARIES) | SHARED_BY_COMMANDS
    elif unit in LIBRARIES:
        allowed = set(LIBRARIES[: LIBRARIES.index(unit)])
        if unit == "training" and path.stem in BUILDERS:
            allowed |= {"config"}
    elif unit in SHARED_BY_COMMANDS:
        allowed = SHARED_BY_COMMANDS | BEFORE_KERAS
    assert imported_units(path) <= allowed


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if unit_of(path) in BACKEND_FREE],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_networks_import_no_backend(path):
    top_levels = {name.split(".")[0] for name in imported_names(path)}
    assert top_levels - sys.stdlib_module_names <= {"keras", "numpy", "sagan_tf"}
    assert imported_units(path) <= BACKEND_FREE


def test_no_module_has_a_vague_name():
    assert not VAGUE_NAMES & ({path.stem for path in FILES} | UNITS)


@pytest.mark.parametrize("unit", sorted(unit for unit in UNITS if (PACKAGE / unit).is_dir()))
def test_a_map_names_every_module(unit):
    """A package's docstring is where a newcomer looks for the file he needs."""
    modules = {path.stem for path in (PACKAGE / unit).glob("*.py")} - {"__init__", "__main__"}
    tree = ast.parse((PACKAGE / unit / "__init__.py").read_text(encoding="utf-8"))
    named = re.findall(r"`(\w+)", ast.get_docstring(tree))
    assert modules <= set(named), sorted(modules - set(named))


# What fits one reading, docstrings included.
LONGEST_FILE, LONGEST_FUNCTION = 300, 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_everything_fits_one_reading(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    long = [name for lines, name in house.functions(path) if lines > LONGEST_FUNCTION]
    assert not long
