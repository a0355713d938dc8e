"""The Inception network with random weights: the published ones are not needed for any test."""

import inception_files
import pytest


@pytest.fixture(scope="session")
def inception_state():
    """Weights by PyTorch's names."""
    return inception_files.random_state()


@pytest.fixture(scope="session")
def inception_weights(inception_state, tmp_path_factory):
    """A file of them as pytorch-fid publishes it."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    return inception_files.write_torch(path, inception_state)
