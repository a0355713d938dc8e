"""The documentation is whole: links lead to what exists, and the README to every page."""

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from tests.support import notebooks
from tests.support.notebooks import as_markdown

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [
    path
    for ending in ("md", "ipynb")
    for path in sorted(DOCS.rglob(f"*.{ending}"))
    if "_build" not in path.parts
]
COMMANDS = ("train", "prepare", "convert", "sample", "evaluate", "attend", "latent.__main__",
            "export", "publish", "serve", "playground", "study.__main__",
            "benchmark.__main__")  # fmt: skip
# Flags of absl, of other programs, and of what is made up to show a message.
FOREIGN = {"batch", "gpus", "help", "kills", "logdir", "no-deps"}
FLAG = re.compile(r"(?<![\w'=-])--([a-z][\w-]*)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
IMAGE = re.compile(r"!\[([^\]]*)\]|<img\b([^>]*)>")


def prose(path):
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", as_markdown(path), flags=re.M | re.S)


def anchors(path):
    """What a page's headings are linked to by, as GitHub and MyST derive it."""
    if path == DOCS / "index.md":  # which includes the README
        path = README
    headings = re.findall(r"^#+ (.+)$", prose(path), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path):
    for link in LINK.findall(prose(path)):
        place, _, anchor = link.partition("#")
        if place.startswith(("http://", "https://")):
            continue
        target = (path.parent / place).resolve() if place else path
        if not target.is_relative_to(ROOT) or not target.exists():
            yield f"{link}: no such file"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: no such heading"


@pytest.mark.parametrize("path", [README, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    assert list(broken_links(path)) == []


def test_a_broken_link_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_documentation.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# A page\n[here](#a-page), [gone](gone.md), [no heading](page.md#other)\n")
    assert list(broken_links(page)) == [
        "gone.md: no such file",
        "page.md#other: no such heading",
    ]


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) < 200


def test_the_readme_links_to_every_page():
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in LINK.findall(prose(README))}
    reference = {path for path in PAGES if path.parent == DOCS / "api" and path.stem != "index"}
    assert set(PAGES) - reference - {DOCS / "index.md"} <= linked


def flags_of(name):
    """The flags of a command, from the settings that its module has or imports."""
    module = importlib.import_module(f"sagan_tf.{name}")
    kinds = [kind for kind in vars(module).values() if dataclasses.is_dataclass(kind)]
    if name == "train":
        kinds.append(module.config.TrainSettings)
    for field in (field for kind in kinds for field in dataclasses.fields(kind)):
        yield field.name.removesuffix("_")
        if "bool" in str(field.type):
            yield f"no{field.name}"


def test_commands_are_given_flags_that_they_have():
    known = {name.partition(".")[0]: {*flags_of(name), *FOREIGN} for name in COMMANDS}
    for path in [README, *PAGES]:
        text = as_markdown(path).replace("\\\n", " ")
        for name, words in re.findall(r"python -m sagan_tf\.(\w+)([^\n|`&]*)", text):
            words = words.partition("#")[0]
            passed_on = " ".join(re.findall(r"--train_flags='([^']*)'", words))
            flags = set(FLAG.findall(re.sub(r"'[^']*'", "", words)))
            assert flags <= known[name], f"{path.name}: {name} {flags - known[name]}"
            assert set(FLAG.findall(passed_on)) <= known["train"], f"{path.name}: {passed_on}"


def test_flags_in_sentences_are_those_of_some_command():
    known = {*FOREIGN, *(flag for name in COMMANDS for flag in flags_of(name))}
    for path in [README, *PAGES]:
        flags = {
            flag for span in re.findall(r"`([^`\n]+)`", prose(path)) for flag in FLAG.findall(span)
        }
        assert flags <= known, f"{path.name}: {flags - known}"


@pytest.mark.parametrize("path", [README, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_picture_is_described(path):
    for alt, attributes in IMAGE.findall(as_markdown(path)):
        assert alt.strip() or re.search(r'\balt="[^"]+"', attributes)
    if path.suffix == ".ipynb":
        for cell in notebooks.read(path).cells:
            if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
                assert cell.metadata.mystnb.image.alt
