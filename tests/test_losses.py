import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.losses import discriminator_hinge_loss, generator_hinge_loss


def logits(*values):
    return tf.constant(values, shape=(len(values), 1))


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        ((0.0, 0.0), (0.0, 0.0), 2),
        ((1.0, 5.0), (-1.0, -5.0), 0),  # Beyond the margin nothing counts.
        ((0.0, 2.0), (-3.0, 0.5), 0.5 + 0.75),
        ((-2.0,), (3.0,), 3 + 4),
        ((1.0, 0.0, 2.0), (-4.0,), 1 / 3),  # Each mean has its own count.
    ],
)
def test_discriminator_loss_by_hand(real, fake, expected):
    loss = discriminator_hinge_loss(logits(*real), logits(*fake))
    assert loss.shape == ()
    assert float(loss) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("fake", "expected"), [((0.0,), 0), ((1.0, 5.0), -3), ((-4.0, 1.0), 1.5)])
def test_generator_loss_by_hand(fake, expected):
    loss = generator_hinge_loss(logits(*fake))
    assert loss.shape == ()
    assert float(loss) == expected


def test_gradients_by_hand():
    """Only real logits below 1 and fake ones above -1 pull; the generator's pull is even."""
    real, fake = logits(0.5, 2.0), logits(-0.5, -2.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((real, fake))
        discriminator = discriminator_hinge_loss(real, fake)
        generator = generator_hinge_loss(fake)
    np.testing.assert_array_equal(tape.gradient(discriminator, real), [[-0.5], [0]])
    np.testing.assert_array_equal(tape.gradient(discriminator, fake), [[0.5], [0]])
    np.testing.assert_array_equal(tape.gradient(generator, fake), [[-0.5], [-0.5]])
