import keras
import numpy as np
import pytest

from sagan_tf.run import checkpoint
from sagan_tf.run.checkpoint import Checkpoints
from tests.support.small_generator import equal, make


def damage(directory, step, offset=1000):
    path = directory / f"step-{step}.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[offset] ^= 1  # a single flipped bit
    path.write_bytes(data)


def test_every_variable_comes_back_with_the_optimizer(tmp_path):
    generator = make()
    optimizer = keras.optimizers.Adam(name="generator_optimizer")
    optimizer.build(generator.trainable_variables)
    for variable in optimizer.variables:
        if variable.dtype == "float32":
            variable.assign(np.random.default_rng(3).normal(size=variable.shape))
    optimizer.iterations.assign(7)
    Checkpoints(tmp_path, [generator, optimizer], '{"seed": 0}').save(7)

    other = make(seed=9)
    restored = keras.optimizers.Adam(name="generator_optimizer")
    restored.build(other.trainable_variables)
    checkpoints = Checkpoints(tmp_path, [other, restored])
    assert checkpoints.restore_newest() == 7
    assert equal(generator, other)
    for before, after in zip(optimizer.variables, restored.variables, strict=True):
        np.testing.assert_array_equal(before, after)
    assert checkpoint.read_variables(tmp_path)["settings"] == b'{"seed": 0}'


def test_nothing_to_restore(tmp_path):
    assert Checkpoints(tmp_path, [make()]).restore_newest() is None
    with pytest.raises(ValueError, match="No checkpoint in"):
        checkpoint.restore_network(tmp_path, make())


def test_keeps_the_newest(tmp_path):
    checkpoints = Checkpoints(tmp_path, [make()], max_to_keep=2)
    for step in (1, 2, 10):
        checkpoints.save(step)
    assert sorted(path.name for path in tmp_path.glob("*.index")) == [
        "step-10.index",
        "step-2.index",
    ]


def test_one_flipped_bit_falls_back_to_the_one_before_and_says_so(saved, caplog):
    directory, first, second = saved
    generator = make(seed=5)
    assert Checkpoints(directory, [generator]).restore_newest() == 2
    assert equal(generator, second)
    damage(directory, 2)
    assert Checkpoints(directory, [generator]).restore_newest() == 1
    assert equal(generator, first)
    assert "step-2 cannot be read" in caplog.text
    assert checkpoint.restore_network(directory, generator) == 1


@pytest.mark.parametrize("name", ["step-2.data-00000-of-00001", "step-2.index"])
def test_a_file_cut_short_falls_back(saved, name):
    directory, first, _ = saved
    path = directory / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    generator = make(seed=5)
    assert Checkpoints(directory, [generator]).restore_newest() == 1
    assert equal(generator, first)


def test_what_a_kill_left_half_written_is_removed(saved):
    directory, first, _ = saved
    (directory / "step-2.index").unlink()
    (directory / "unfinished_temp").mkdir()
    (directory / "unfinished_temp" / "part-00000-of-00001.data-00000-of-00001").touch()
    (directory / "unfinished.data-00000-of-00001").touch()
    (directory / "unfinished.index").touch()
    generator = make(seed=5)
    assert Checkpoints(directory, [generator]).restore_newest() == 1
    assert equal(generator, first)
    assert {path.stem for path in directory.iterdir()} == {"step-1"}


def test_a_damaged_checkpoint_displaces_no_good_one(saved):
    directory, *_ = saved
    damage(directory, 2)
    checkpoints = Checkpoints(directory, [make()], max_to_keep=1)
    assert checkpoints.restore_newest() == 1
    # It would have been the newest of all, and step 1 removed.
    for path in directory.glob("step-2.*"):
        path.rename(path.with_name(path.name.replace("2", "9", 1)))
    checkpoints.save(3)
    assert {path.stem for path in directory.iterdir()} == {"step-3", "step-9"}


def test_what_is_not_finite_is_not_saved(saved):
    directory, first, _ = saved
    before = sorted(directory.iterdir())
    checkpoints = Checkpoints(directory, [first])
    kernel = first.trainable_variables[0]
    kernel.assign(np.where(np.arange(kernel.shape[-1]) == 1, np.nan, kernel))
    with pytest.raises(ValueError, match=f"not finite, among them {kernel.path}"):
        checkpoints.save(3)
    assert sorted(directory.iterdir()) == before


def test_no_room_for_a_checkpoint(saved, file_size_limit):
    directory, first, second = saved
    before = sorted(directory.iterdir())
    checkpoints = Checkpoints(directory, [first], max_to_keep=1)
    # Names and checksums, 9 kB here, come on top.
    size = (directory / "step-2.data-00000-of-00001").stat().st_size
    assert size - 10_000 < checkpoints.bytes_needed() < size
    with file_size_limit(10_000), pytest.raises(OSError, match="File too large") as raised:
        checkpoints.save(3)
    assert raised.value.filename == str(directory / "step-3")
    assert sorted(directory.iterdir()) == before
    assert checkpoints.restore_newest() == 2
    assert equal(first, second)


def test_a_directory_that_is_gone_is_not_made_anew(saved):
    directory, first, _ = saved
    checkpoints = Checkpoints(directory, [first])
    directory.rename(directory.with_name("moved"))
    with pytest.raises(FileNotFoundError):
        checkpoints.save(3)
    assert not directory.exists()


def test_settings_are_read_alone(tmp_path):
    assert checkpoint.saved_settings(tmp_path) is None
    Checkpoints(tmp_path, [make()], '{"seed": 3}').save(1)
    assert checkpoint.saved_settings(tmp_path) == {"seed": 3}


def test_what_is_kept_tells_of_now_and_not_of_the_run_that_was_restored(tmp_path):
    network = make()
    Checkpoints(tmp_path, [network], '{"steps": 3}').save(1)
    later = Checkpoints(tmp_path, [network], '{"steps": 5, "data": {"class_names": ["a"]}}')
    assert later.restore_newest() == 1
    later.save(2)
    assert checkpoint.saved_settings(tmp_path) == {"steps": 5, "data": {"class_names": ["a"]}}


def test_all_damaged(saved):
    directory, *_ = saved
    for step in (1, 2):
        damage(directory, step)
    with pytest.raises(ValueError, match="None of the 2 checkpoints"):
        Checkpoints(directory, [make()]).restore_newest()


def test_other_networks_are_not_restored(saved):
    directory, *_ = saved
    with pytest.raises(ValueError, match="None of the 2 checkpoints"):
        Checkpoints(directory, [make(base_filters=8)]).restore_newest()


def test_two_variables_of_one_name(tmp_path):
    with pytest.raises(ValueError, match="same path"):
        Checkpoints(tmp_path, [make(), make()])
