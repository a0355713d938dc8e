"""Shared by all tests: two CPU devices, quiet logs, one random seed per test, one trained run."""

import contextlib
import fcntl
import gc
import os
import resource

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as commands do
os.environ.setdefault("NO_GCE_CHECK", "true")  # tensorflow-datasets would look for a bucket.
# Three test processes share two cores: threads of one would only wait for those of the others.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# What runs once takes longer to compile well than to run badly compiled.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras
import pytest
import tensorflow as tf

from tests.support import commands

# Before TensorFlow starts its devices: MirroredStrategy then runs with two replicas on any machine.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

# Begun first: a process that begins one of them last keeps all others waiting.
SLOW_FILES = {
    "test_train",
    "test_workers",
    "test_study",
    "test_faults",
    "test_notebooks",
    "test_benchmark",
    "test_cost",
    "test_small_data",
    "test_trainer",
    "test_rollback",
}


def pytest_xdist_auto_num_workers():
    """One process more than there are cores, as tests wait for the commands that they start."""
    return min(4, 1 + (os.cpu_count() or 1))


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in SLOW_FILES)


@pytest.fixture(autouse=True)
def _same_seed_for_every_test():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module", autouse=True)
def _no_search_for_garbage_in_what_stays():
    """Leaves what imports and earlier files made out of later searches, which then take no time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_garbage_from_test_to_test():
    """Ends the iterators that a test leaves in the traceback of an expected error.

    Python would collect them in any thread at any time: in one that loads images and holds the
    lock that the dying iterator's own thread waits for, the two wait for ever.
    """
    yield
    gc.collect()


@pytest.fixture
def file_size_limit():
    """A context in which writing a file beyond so many bytes fails, as on a full disk."""

    @contextlib.contextmanager
    def limit(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture(scope="session")
def two_replicas():
    """A strategy over both CPU devices.

    One for all tests, and without collective operations: those of two strategies in one process
    are taken for one another.
    """
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """A function `(name, make)`: what `make(folder)` wrote in the first test process to ask."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made_once(name, make):
        folder, done = base / name, base / f"{name}.made"
        with open(base / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made_once


@pytest.fixture(scope="session")
def digits(made_once):
    """The workdir of a finished run of 20 steps on the digits; copy it to change it."""
    return made_once(
        "digits",
        lambda folder: commands.run("train", f"--workdir={folder}", "--steps=20", *commands.TINY),
    )


@pytest.fixture(scope="session")
def exported(digits, made_once):
    """The base path of the run, exported as version 1 of `sagan`; copy it to change it."""
    folder = made_once(
        "exports",
        lambda folder: commands.run("export", f"--workdir={digits}", f"--export_dir={folder}"),
    )
    return folder / "sagan"


@pytest.fixture(scope="session")
def inception_state():
    """Random weights of the Inception network, by PyTorch's names; no test needs the real ones."""
    from tests.support import inception_files  # imports PyTorch, which takes seconds

    return inception_files.random_state()


@pytest.fixture(scope="session")
def inception_weights(inception_state, tmp_path_factory):
    """A file of them as pytorch-fid publishes it."""
    from tests.support import inception_files

    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    return inception_files.write_torch(path, inception_state)
