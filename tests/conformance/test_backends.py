"""JAX and PyTorch compute what TensorFlow does, from files that were saved under TensorFlow."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.conformance.backend_outputs import COMPARED, record
from tests.support import commands

# Keras copies its variables into the file in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with an app of every descriptor, and what they compute with TensorFlow."""
    folder = tmp_path_factory.mktemp("apps")
    expected = {}
    for descriptor in COMPARED:
        # Of 40 seeds 3 have a ReLU whose input is so near 0 that rounding decides its gradient.
        keras.utils.set_random_seed(0)
        inputs = descriptor.symbolic_inputs()
        app = keras.Model(inputs, descriptor.make_trained()(*inputs))
        app.save(folder / f"{descriptor.name}.keras")
        expected[descriptor.name] = record(app, descriptor.inputs())
    return folder, expected


@pytest.fixture(scope="module", params=["jax", "torch"])
def results(request, saved):
    """What they compute with another backend, where TensorFlow is not installed; and expected."""
    folder, expected = saved
    environment = commands.without_tensorflow(folder, request.param)
    command = [sys.executable, "-m", "tests.conformance.backend_outputs", folder]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return np.load(folder / f"{request.param}.npz"), expected


@pytest.mark.parametrize("descriptor", COMPARED, ids=lambda descriptor: descriptor.name)
def test_computes_what_tensorflow_does(results, descriptor):
    arrays, expected = results[0], results[1][descriptor.name]
    names = [f"{descriptor.name}/{name}" for name in expected]
    assert names == [name for name in arrays if name.startswith(f"{descriptor.name}/")]
    steepest = max(np.abs(x).max() for name, x in expected.items() if name.startswith("gradient/"))
    for name, reference in expected.items():
        tolerance = 1e-5 * np.abs(reference).max()
        if name.startswith("gradient/"):
            # A bias that a norm takes away again has no gradient but other gradients' rounding.
            tolerance = max(tolerance, 3e-6 * steepest)
        ours = arrays[f"{descriptor.name}/{name}"]
        np.testing.assert_allclose(ours, reference, rtol=0, atol=tolerance, err_msg=name)
