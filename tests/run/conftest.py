import pytest

from sagan_tf.run.checkpoint import Checkpoints
from tests.support.small_generator import make


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
