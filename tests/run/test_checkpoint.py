import keras
import numpy as np
import pytest

from sagan_tf.models import Discriminator, Generator
from sagan_tf.run import checkpoint
from sagan_tf.run.checkpoint import Checkpoints


def make(num_classes=3, seed=0, name="generator", base_filters=4):
    keras.utils.set_random_seed(seed)
    generator = Generator(
        16, num_classes, base_filters=base_filters, channels=1, latent_dim=8, name=name
    )
    generator.build()
    for variable in generator.variables:  # tables and statistics start alike: make them differ
        variable.assign(np.random.default_rng(seed).normal(size=variable.shape))
    return generator


def equal(left, right):
    return all(
        np.array_equal(a, b) for a, b in zip(left.get_weights(), right.get_weights(), strict=True)
    )


def damage(directory, step, offset=1000):
    path = directory / f"step-{step}.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[offset] ^= 1  # a single flipped bit
    path.write_bytes(data)


@pytest.fixture
def saved(tmp_path):
    """A directory with steps 1 and 2, and the networks as they were then."""
    first, second = make(seed=1), make(seed=2)
    checkpoints = Checkpoints(tmp_path, [first])
    checkpoints.save(1)
    first_weights = first.get_weights()
    first.set_weights(second.get_weights())
    checkpoints.save(2)
    first.set_weights(first_weights)
    return tmp_path, first, second


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
    assert checkpoint._read_variables(tmp_path)["settings"] == b'{"seed": 0}'


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


def test_init_from_keeps_fresh_class_tables_for_other_classes(saved):
    directory, _, second = saved
    networks = [make(num_classes=5, seed=6), make(num_classes=5, seed=6, name="ema_generator")]
    fresh = make(num_classes=5, seed=6)
    checkpoint.init_from(directory, networks, shared_classes={})
    for network in networks:
        before = {variable.path: variable.numpy() for variable in fresh.variables}
        theirs = {variable.path: variable.numpy() for variable in second.variables}
        for variable in network.variables:
            path = variable.path.removeprefix("ema_")
            tables = path.endswith(("norm_0/gamma", "norm_0/beta", "norm_1/gamma", "norm_1/beta"))
            np.testing.assert_array_equal(variable, (before if tables else theirs)[path])


def test_init_from_keeps_what_belongs_to_a_shared_class(tmp_path):
    def discriminator(num_classes, seed):
        keras.utils.set_random_seed(seed)
        network = Discriminator(
            image_size=16, num_classes=num_classes, base_filters=4, attention_resolutions=()
        )
        network.build()
        return network

    theirs = [make(seed=1), discriminator(3, seed=1)]
    Checkpoints(tmp_path, theirs).save(1)
    own = [make(num_classes=5, seed=6), discriminator(5, seed=6)]
    fresh = [make(num_classes=5, seed=6), discriminator(5, seed=6)]
    checkpoint.init_from(tmp_path, own, shared_classes={4: 0, 1: 2})
    for network, before, other in zip(own, fresh, theirs, strict=True):
        tables = [
            (new.numpy(), old.numpy(), there.numpy())
            for new, old, there in zip(
                network.variables, before.variables, other.variables, strict=True
            )
            if new.shape[0] == 5 and there.shape[0] == 3
        ]
        assert tables
        for new, old, there in tables:
            np.testing.assert_array_equal(new[[4, 1]], there[[0, 2]])
            np.testing.assert_array_equal(new[[0, 2, 3]], old[[0, 2, 3]])


def test_init_from_takes_everything_for_the_same_classes(saved):
    directory, _, second = saved
    network = make(seed=6)
    checkpoint.init_from(directory, [network])
    assert equal(network, second)


def test_init_from_refuses_other_networks(saved):
    directory, *_ = saved
    with pytest.raises(ValueError, match=r"has other networks.*variables do not fit: generator/"):
        checkpoint.init_from(directory, [make(base_filters=8)])
