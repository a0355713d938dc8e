import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open

from sagan_tf import pretrained, sampling
from sagan_tf.models import Discriminator
from sagan_tf.pretrained import folder
from tests.support import small_generator


@pytest.fixture
def published(digits, tmp_path):
    """The run of 20 steps as a folder, without samples and card."""
    generator, step = sampling.restore_generator(digits)
    description = pretrained.description(digits)
    discriminator = Discriminator.from_config(description["discriminator"])
    discriminator.build()
    pretrained.restore(digits, discriminator)
    place = tmp_path / "published"
    place.mkdir()
    kept = folder.publishable(description, {"workdir", "cache_dir", "data_dir"})
    folder.write(place, kept, (generator, discriminator), step)
    return place


def images(workdir):
    generator = sampling.load_generator(workdir)
    return np.stack(list(sampling.sample(generator, range(20), [n % 10 for n in range(20)])))


def test_a_folder_gives_the_runs_images_bit_by_bit(published, digits):
    np.testing.assert_array_equal(images(published), images(digits))
    np.testing.assert_array_equal(images(str(published)), images(digits))
    assert sampling.restore_generator(published)[1] == 20


def test_weights_are_named_by_their_variables(published, digits):
    """By the reference reader of the format: names, shapes, dtypes and values."""
    generator = sampling.load_generator(digits)
    with safe_open(published / "model.safetensors", framework="numpy") as file:
        names = set(file.keys())
        for variable in generator.variables:
            np.testing.assert_array_equal(file.get_tensor(variable.path), variable)
    assert {name.split("/")[0] for name in names} == {"ema_generator", "discriminator"}


def test_nothing_of_the_machine_is_published(published, digits):
    text = (published / "config.json").read_text(encoding="utf-8")
    assert str(digits) not in text
    assert json.loads(text)["settings"]["data_dir"] is None
    assert "cache_dir" not in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("folder:/home/me/cats", "folder:cats"),
        ("npz:../images.npz", "npz:images.npz"),
        ("lsun/bedroom", "lsun/bedroom"),
        ("digits", "digits"),
    ],
)
def test_a_path_is_private_except_for_its_last_part(name, expected):
    assert folder.without_path(name) == expected


def test_scalars_keep_their_shape(tmp_path):
    """The attention's gamma has no axis."""
    generator = small_generator.make()
    description = {"settings": {}, "step": 1}
    folder.write(tmp_path, description, [generator], 3)
    weights, step = folder.read_weights(tmp_path)
    assert step == 3
    assert {v.path: tuple(v.shape) for v in generator.variables} == {
        name: value.shape for name, value in weights.items()
    }


def test_a_cut_or_foreign_file_is_one_message(published, tmp_path):
    cut = shutil.copytree(published, tmp_path / "cut")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"config.json beside it is damaged: SafetensorError"):
        sampling.load_generator(cut)
    config = json.loads((published / "config.json").read_text())
    del config["step"]
    (published / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"is damaged: KeyError\('step'\)"):
        sampling.load_generator(published)


def test_weights_of_another_shape_are_refused(published):
    config = json.loads((published / "config.json").read_text())
    config["generator"]["latent_dim"] = 9
    (published / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"dense/kernel are missing or of another shape"):
        sampling.load_generator(published)


def test_a_missing_package_names_the_extra(published, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    with pytest.raises(ValueError, match=r"`pip install 'sagan_tf\[hub\]'` brings it"):
        sampling.load_generator(published)
