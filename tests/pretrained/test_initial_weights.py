import keras
import numpy as np
import pytest

from sagan_tf import pretrained, sampling
from sagan_tf.models import Discriminator, Generator
from sagan_tf.pretrained import init_from
from sagan_tf.run.checkpoint import Checkpoints
from tests.support.small_generator import equal, make


@pytest.fixture
def saved(tmp_path):
    """A workdir with one network, and the network."""
    network = make(seed=2)
    Checkpoints(tmp_path / "checkpoints", [network]).save(2)
    return tmp_path, network


def test_init_from_keeps_fresh_class_tables_for_other_classes(saved):
    directory, second = saved
    networks = [make(num_classes=5, seed=6), make(num_classes=5, seed=6, name="ema_generator")]
    fresh = make(num_classes=5, seed=6)
    init_from(directory, networks, shared_classes={})
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
    Checkpoints(tmp_path / "checkpoints", theirs).save(1)
    own = [make(num_classes=5, seed=6), discriminator(5, seed=6)]
    fresh = [make(num_classes=5, seed=6), discriminator(5, seed=6)]
    init_from(tmp_path, own, shared_classes={4: 0, 1: 2})
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
    directory, second = saved
    network = make(seed=6)
    init_from(directory, [network])
    assert equal(network, second)


def test_init_from_refuses_other_networks(saved):
    directory, _ = saved
    message = r"has other networks; use its settings: --a=1. .* do not fit: generator/"
    with pytest.raises(ValueError, match=message):
        init_from(directory, [make(base_filters=8)], flags="--a=1")


@pytest.mark.parametrize("name", ["generator", "ema_generator"])
def test_both_generators_begin_with_the_average_that_ships(name):
    expected = sampling.load_generator("digits")
    network = Generator.from_config({**expected.get_config(), "name": name})
    network.build()
    init_from("digits", [network])
    assert equal(network, expected)


def test_the_discriminator_that_ships():
    config = pretrained.description("digits")["discriminator"]
    expected, network = (Discriminator.from_config(config) for _ in range(2))
    for discriminator in (expected, network):
        discriminator.build()
    pretrained.restore("digits", expected)
    init_from("digits", [network])
    assert equal(network, expected)
