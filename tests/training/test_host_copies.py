"""No step of the training loop copies anything from a GPU to the host."""

import platform

import pytest
import tensorflow as tf

from sagan_tf.training.loop import make_run_steps
from sagan_tf.training.regularization import Regularization
from tests.support.host_copies import copies_in_loops
from tests.support.small_sagan import IMAGES, LABELS, make_sagan

# On x86-64 the published package knows GPUs' kernels; without them the tests below must fail.
pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="TensorFlow's packages for others know no GPU"
)


def test_finds_what_a_loop_copies_and_not_what_it_keeps():
    variable = tf.Variable(3, dtype=tf.int64)

    @tf.function
    def draw(on_host):
        first = tf.cast(variable, tf.int32)
        for index in tf.range(2):
            seed = [first, index] if on_host else [variable, tf.cast(index, tf.int64)]
            tf.print(tf.random.stateless_uniform((), tf.stack(seed)))

    copies = [copies_in_loops(draw.get_concrete_function(on_host)) for on_host in (True, False)]
    kinds = [[reader.split()[0] for _, reader in pairs] for pairs in copies]
    # Printing a number copies it.
    assert kinds == [["StringFormat"], ["StatelessRandomGetKeyCounter", "StringFormat"]]


@pytest.mark.parametrize(
    "settings",
    [
        {"ema_decay": 0.9},
        {
            "d_steps": 2,
            "ema_half_life": 100,
            "label_weights": [1, 2] * 5,
            "regularization": Regularization(
                ("color", "translation", "cutout"),
                adaptive=True,
                consistency_weight=1.0,
                lecam_weight=1.0,
                r1_weight=1.0,
            ),
        },
    ],
    ids=["plain", "everything"],
)
def test_a_training_step_copies_nothing_to_the_host(settings):
    strategy = tf.distribute.get_strategy()
    data = tf.data.Dataset.from_tensors((IMAGES, LABELS.astype("int32"))).repeat()
    run_steps = make_run_steps(make_sagan(**settings), strategy)
    function = run_steps.get_concrete_function(iter(data), tf.constant(2))
    assert copies_in_loops(function) == []
