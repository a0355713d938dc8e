"""Small data sets on disk, each made once."""

import numpy as np
import pytest
from PIL import Image

from tests.support import imagenet


@pytest.fixture(scope="session")
def imagenet_data_dir(tmp_path_factory):
    """A `data_dir` with both ImageNet archives where TFDS expects them."""
    data_dir = tmp_path_factory.mktemp("tfds")
    imagenet.write_imagenet_archives(data_dir / "downloads" / "manual")
    return data_dir


@pytest.fixture(scope="session")
def imagenet_files():
    """The module that draws the archives: `draw`, `encode`, `wordnet_ids`."""
    return imagenet


@pytest.fixture
def image_folder(tmp_path):
    """40 images in folders `cats` and `dogs`; returns the root."""
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{number:02d}.png")
    return tmp_path / "pets"
