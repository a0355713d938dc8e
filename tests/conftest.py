"""Shared by all tests: two logical CPU devices, quiet logs, one random seed per test."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("NO_GCE_CHECK", "true")  # tensorflow-datasets would look for a bucket.

import keras
import pytest
import tensorflow as tf

# Before TensorFlow starts its devices: MirroredStrategy then runs with two replicas on any machine.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

gc.freeze()  # What the imports made stays; collecting after each test then takes no time.


@pytest.fixture(autouse=True)
def _same_seed_for_every_test():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _no_garbage_from_test_to_test():
    """Ends the iterators that a test leaves in the traceback of an expected error.

    Python would collect them in any thread at any time: in one that loads images and holds the
    lock that the dying iterator's own thread waits for, the two wait for ever.
    """
    yield
    gc.collect()


@pytest.fixture(scope="session")
def two_replicas():
    """A strategy over both CPU devices.

    One for all tests, and without collective operations: those of two strategies in one process
    are taken for one another.
    """
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
