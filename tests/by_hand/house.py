"""Sizes of the package's files and functions, what lies in its root, and what mypy finds.

python -m tests.by_hand.house
"""

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

import sagan_tf

PACKAGE = Path(sagan_tf.__file__).parent


def functions(path):
    """(lines, name) of each function and method of a file, with its docstring."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.end_lineno - node.lineno + 1, node.name


def measure():
    """The package's sizes by name."""
    files = sorted(PACKAGE.rglob("*.py"))
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    longest_file = max(files, key=lengths.get)
    found = [(lines, name, path) for path in files for lines, name in functions(path)]
    lines, name, path = max(found)
    sizes = sorted(size for size, *_ in found)
    root = [path.stem for path in PACKAGE.glob("*.py")]
    packages = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    mypy = subprocess.run([sys.executable, "-m", "mypy"], capture_output=True, text=True).stdout
    errors = re.search(r"Found (\d+) error", mypy)
    return {
        "files": len(files),
        "longest file": f"{lengths[longest_file]} lines, {longest_file.relative_to(PACKAGE)}",
        "functions": len(sizes),
        "function, median": f"{statistics.median(sizes):.0f} lines",
        "function, nine of ten at most": f"{sizes[int(0.9 * len(sizes))]} lines",
        "longest function": f"{lines} lines, {name} in {path.relative_to(PACKAGE)}",
        "modules in the root": f"{len(root)}, and {len(packages)} packages",
        "errors that mypy finds": int(errors.group(1)) if errors else 0,
    }


if __name__ == "__main__":
    for what, size in measure().items():
        print(f"{what:32} {size}")
