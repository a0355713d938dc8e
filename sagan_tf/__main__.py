"""Names the commands: `python -m sagan_tf`."""

import ast
from pathlib import Path

COMMANDS = (
    "train prepare sample evaluate attend latent export publish serve playground convert study "
    "benchmark"
).split()


def summary(command: str) -> str:
    """The first line of a command's docstring, which is read without importing anything."""
    module = Path(__file__).with_name(command)
    path = module / "__main__.py" if module.is_dir() else module.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.splitlines()[0]


if __name__ == "__main__":
    print("Commands, each of which explains its flags with --help:\n")
    for name in COMMANDS:
        print(f"python -m sagan_tf.{name:<11} {summary(name)}")
