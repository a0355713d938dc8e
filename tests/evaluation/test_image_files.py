import numpy as np
import pytest
from PIL import Image

from sagan_tf.evaluation.image_files import ArrayImages, FileImages


def read_all(images):
    """All of them, read in two parts."""
    middle = images.num_images // 2
    parts = [images.read(0, middle), images.read(middle, images.num_images)]
    labels = None if parts[0][1] is None else np.concatenate([part[1] for part in parts])
    return np.concatenate([part[0] for part in parts]), labels


def test_files(tmp_path, caplog):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (4, 8, 8, 3), np.uint8)
    for index, image in enumerate(pixels):
        folder = tmp_path / "ab"[index // 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"{index}.png")
    images = FileImages(tmp_path, 100)
    found, labels = read_all(images)
    np.testing.assert_array_equal(found, pixels)
    assert labels.tolist() == [0, 0, 1, 1]
    assert FileImages(tmp_path / "a", 100).read(0, 2)[1] is None
    few = [read_all(FileImages(tmp_path, 2)) for _ in range(2)]
    np.testing.assert_array_equal(few[0][0], few[1][0])
    assert len(few[0][0]) == 2
    assert not caplog.records
    before = images.identity
    Image.fromarray(pixels[0]).save(tmp_path / "b" / "9.jpg")
    assert FileImages(tmp_path, 100).identity != before
    assert "compressed with loss" in caplog.text
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        FileImages(tmp_path / "none", 100)


def test_arrays(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "a.npz", pixels, np.arange(5))
    images = ArrayImages(tmp_path / "a.npz", 4)
    found, labels = read_all(images)
    np.testing.assert_array_equal(found, pixels[:4])
    assert labels.tolist() == [0, 1, 2, 3]
    np.savez(tmp_path / "columns.npz", np.asfortranarray(pixels), np.arange(5))
    np.savez_compressed(tmp_path / "small.npz", pixels, np.arange(5))
    for name in ("columns.npz", "small.npz"):
        other = ArrayImages(tmp_path / name, 4)
        np.testing.assert_array_equal(other.read(1, 3)[0], pixels[1:3])
        assert other.identity == images.identity
    np.savez(tmp_path / "b.npz", pixels.astype(np.float32))
    with pytest.raises(ValueError, match=r"must be uint8 .* Received: float32 \(5, 8, 8, 3\)"):
        ArrayImages(tmp_path / "b.npz", 4)
    np.savez(tmp_path / "c.npz", mu=1)
    for name in ("c.npz", "none.npz"):
        with pytest.raises(ValueError, match="is no file of images"):
            ArrayImages(tmp_path / name, 4)
