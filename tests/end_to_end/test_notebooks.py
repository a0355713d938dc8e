"""The tutorials that are notebooks run from their first cell to their last, with fewer steps."""

import re
import socket

import pytest

from tests.by_hand.notebooks import beginning, public_address
from tests.support import notebooks


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


SERVER, GATEWAY = free_port(), free_port()
SMALLER = {
    "attention-in-keras": [("epochs=20", "epochs=2")],
    "first-run": [("--steps=20", "--steps=1"), ("--steps=4500", "--steps=2"),
                  ("--num_images=1000", "--num_images=200")],
    "fine-tuning": [("--steps=800", "--steps=1"), ("--steps=900", "--steps=2"),
                    ("--steps=200", "--steps=1"), (", 200)", ", 20)"), (", 50)", ", 20)"),
                    ("--base_filters=8", "--base_filters=4 --query_key_ratio=4")],
    "own-pictures": [("--dry_run --time", "--dry_run"), ("--steps=100", "--steps=1"),
                     ("--image_size=32", "--image_size=16"),
                     ("--base_filters=8", "--base_filters=8 --attention_resolutions=8")],
    "production": [("> server.log", f"--rest_api_port={SERVER} > server.log"),
                   ("&> gateway.log", f"--rest_api_port={GATEWAY} &> gateway.log"),
                   ("8501", SERVER), ("8080", GATEWAY)],
}  # fmt: skip
PRINTED = {
    "attention-in-keras": ["effective_keys", "gamma: ", "largest difference: 0.0\n"],
    "first-run": ["preset digits with steps=1", "nothing to do: --steps=2 are done",
                  "grid: grid.png", "page: attention/attention.html", "label_agreement"],
    "fine-tuning": ["exit status 1", "started from the weights in runs/first",
                    "1 of 2 classes are known there by name", "grid: fine.png"],
    "own-pictures": ["system's 1 (@eaDir), .txt 1 (cat/notes.txt)", "299 images, 4 classes",
                     "samples: runs/mine/samples", "299 images in prepared"],
    "production": ["exported: exports/sagan/1", "sagan version 1 is served", "key of anna",
                   "guarding: http", "A key is needed", "must be in [0, 9]", "iVBORw0KGgo",
                   "['0', '1', '2',", '{"status":"ok"}', 'status="401"', '"caller": "anna"'],
}  # fmt: skip


def test_every_notebook_is_listed():
    assert {path.stem for path in notebooks.PATHS} == SMALLER.keys() == PRINTED.keys()


@pytest.mark.parametrize("path", notebooks.PATHS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    done = notebooks.execute(path, tmp_path, SMALLER[path.stem], strict=True)
    text = notebooks.printed(done)
    for part in PRINTED[path.stem]:
        assert part in text


@pytest.mark.parametrize("path", notebooks.PATHS, ids=lambda path: path.stem)
def test_its_outputs_are_kept(path):
    notebook = notebooks.read(path)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    text = notebooks.printed(notebook)
    for part in PRINTED[path.stem]:
        assert re.sub(r"=\d+", "=", part) in re.sub(r"=\d+", "=", text)


@pytest.mark.parametrize("path", notebooks.PATHS, ids=lambda path: path.stem)
def test_it_says_how_to_run_it(path):
    note, install = (cell.source for cell in notebooks.read(path).cells[:2])
    title = note.partition("\n")[0]
    assert title.startswith("# ")
    assert (note, install) == beginning(path.stem, title, public_address()), (
        "call `python -m tests.by_hand.notebooks`"
    )


def test_colab_opens_and_installs_from_the_public_address():
    """While there is none, nothing in a notebook may lead to one."""
    note, install = beginning("production", "# Serve", "https://github.com/me/gan")
    colab = "https://colab.research.google.com/github/me/gan/blob/main/docs/tutorials"
    assert f"]({colab}/production.ipynb)" in note
    assert '%pip install --quiet "sagan_tf[serve] @ git+https://github.com/me/gan"' in install
    note, install = beginning("production", "# Serve", None)
    assert "badge" not in note
    assert '"$(ls sagan_tf-*.whl)[serve]"' in install
    with pytest.raises(AssertionError, match="Colab opens notebooks of"):
        beginning("production", "# Serve", "https://example.org/gan")
