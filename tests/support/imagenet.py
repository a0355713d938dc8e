"""ImageNet's two archives in their true layout, small: one drawn picture per class and a few more.

What they hold beside JPEGs is what the real ones hold: a CMYK JPEG and a PNG named .JPEG.
"""

import io
import tarfile
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

TRAIN_ARCHIVE = "ILSVRC2012_img_train.tar"
VALIDATION_ARCHIVE = "ILSVRC2012_img_val.tar"
# TFDS knows these files of the real set by name and converts them.
CMYK_FILE = "n01739381_1309.JPEG"
PNG_FILE = "n02105855_2933.JPEG"


def wordnet_ids():
    """The 1000 class names in label order."""
    return tfds.core.tfds_path("datasets/imagenet2012/labels.txt").read_text().split()


def write_imagenet_archives(directory, num_validation=20):
    """Writes both archives into `directory`, as image-net.org gives them.

    The training archive holds one archive per class, named by its WordNet id; the validation
    archive holds numbered images.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with tarfile.open(directory / TRAIN_ARCHIVE, "w") as train:
        for label, wordnet_id in enumerate(wordnet_ids()):
            files = {f"{wordnet_id}_1.JPEG": encode(draw(label), "JPEG")}
            if CMYK_FILE.startswith(wordnet_id):
                files[CMYK_FILE] = encode(draw(label).convert("CMYK"), "JPEG")
            if PNG_FILE.startswith(wordnet_id):
                files[PNG_FILE] = encode(draw(label), "PNG")
            _add(train, f"{wordnet_id}.tar", _archive(files))
    with tarfile.open(directory / VALIDATION_ARCHIVE, "w") as validation:
        for number in range(1, num_validation + 1):
            name = f"ILSVRC2012_val_{number:08d}.JPEG"
            _add(validation, name, encode(draw(number), "JPEG"))


def draw(number):
    """A picture of its own for every number: colour, slope and shape differ."""
    rng = np.random.default_rng(number)
    height, width = rng.integers(24, 40, 2)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    slopes = rng.uniform(-80, 80, (2, 3))
    pixels = rng.uniform(60, 190, 3) + rows[..., None] * slopes[0] + columns[..., None] * slopes[1]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encode(image, file_format):
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


def _archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            _add(archive, name, content)
    return buffer.getvalue()


def _add(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
