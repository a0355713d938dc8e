import gzip
import hashlib
import io

import numpy as np
import pytest
import requests
from PIL import Image
from tensorflow_datasets.image_classification import mnist

from sagan_tf.data import fashion_mnist, load_source

COUNTS = {"train": 12, "t10k": 6}


def write_files(folder, seed=0):
    """Writes the four files in their real format, with a few images of noise."""
    rng = np.random.default_rng(seed)
    written = {}
    folder.mkdir(parents=True)
    for part, count in COUNTS.items():
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        sizes = np.array([0x803, count, 28, 28], ">i4").tobytes()
        for kind, content in (
            ("images-idx3", sizes + images.tobytes()),
            ("labels-idx1", np.array([0x801, count], ">i4").tobytes() + labels.tobytes()),
        ):
            name = f"{part}-{kind}-ubyte.gz"
            (folder / name).write_bytes(gzip.compress(content))
            written[name] = hashlib.sha256(content).hexdigest()
        written[part] = {(i.tobytes(), int(label)) for i, label in zip(images, labels, strict=True)}
    return written


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A computer without network and without Debian's package; files are small ones."""

    def refused(*args, **kwargs):
        raise requests.exceptions.ConnectionError

    monkeypatch.setattr(requests, "head", refused)
    monkeypatch.setattr(requests.Session, "request", refused)
    monkeypatch.setattr(fashion_mnist, "_DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(mnist, "_TRAIN_EXAMPLES", COUNTS["train"])
    monkeypatch.setattr(mnist, "_TEST_EXAMPLES", COUNTS["t10k"])
    written = write_files(tmp_path / "expected")
    contents = {name: written[name] for name in fashion_mnist._CONTENTS}
    monkeypatch.setattr(fashion_mnist, "_CONTENTS", contents)
    return tmp_path


def examples(source):
    pairs = (source.read(index) for index in range(source.num_examples))
    return {(np.asarray(Image.open(io.BytesIO(data))).tobytes(), label) for data, label in pairs}


@pytest.mark.parametrize(
    "place", ["data/downloads/manual/fashion_mnist", "data/downloads/manual", "debian"]
)
def test_files_that_are_here_need_no_network(offline, place):
    """The whole way: four files -> TFDS -> every image with its label, in both splits."""
    written = write_files(offline / place)
    data_dir = str(offline / "data")
    source = load_source("fashion_mnist", data_dir)
    assert (source.name, source.channels, source.num_classes) == ("fashion_mnist", 1, 10)
    assert source.class_names[9] == "Ankle boot"
    assert examples(source) == written["train"]
    for file in (offline / place).iterdir():
        file.unlink()
    # Prepared once, it needs them no more.
    assert examples(load_source("fashion_mnist", data_dir, split="test")) == written["t10k"]


def test_files_of_another_data_set_are_not_taken(offline):
    manual = offline / "data" / "downloads" / "manual"
    write_files(manual, seed=1)
    with pytest.raises(ValueError, match=r"manual/train-images.*with other content; MNIST has"):
        load_source("fashion_mnist", str(offline / "data"))
    # The way out that the message names.
    write_files(manual / "fashion_mnist")
    assert load_source("fashion_mnist", str(offline / "data")).num_examples == 12


def test_a_cut_file_is_named(offline):
    folder = offline / "data" / "downloads" / "manual" / "fashion_mnist"
    write_files(folder)
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=f"Received: {path}, which is damaged"):
        load_source("fashion_mnist", str(offline / "data"))


@pytest.mark.parametrize("other_downloads", [False, True])
def test_without_files_the_message_says_how_to_get_them(offline, other_downloads):
    """With other data sets' downloads there, TFDS itself tries the network and fails."""
    folder = offline / "data" / "downloads" / "manual" / "fashion_mnist"
    if other_downloads:
        folder.mkdir(parents=True)
        (folder / "train-labels-idx1-ubyte.gz").touch()  # one of four is none
    with pytest.raises(ValueError, match="fashion_mnist") as raised:
        load_source("fashion_mnist", str(offline / "data"))
    message = str(raised.value)
    assert "apt install dataset-fashion-mnist" in message
    assert "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k" in message
    assert f"into {folder}." in message
