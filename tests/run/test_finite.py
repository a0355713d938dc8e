import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.run import finite


def test_losses_that_are_not_finite():
    assert finite.check_losses(3, {"generator_loss": tf.constant(1.5)}) == {"generator_loss": 1.5}
    with pytest.raises(ValueError, match=r"broke before step 3: \{'generator_loss': nan\}"):
        finite.check_losses(3, {"discriminator_loss": 1.0, "generator_loss": float("nan")})


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_one_number_of_one_variable(number):
    variables = {"step": tf.Variable(3), "kernel": tf.Variable(tf.ones((2, 3)))}
    finite.check_variables(5, variables)
    variables["kernel"][1, 2].assign(number)
    with pytest.raises(finite.NotFiniteError, match=r"before step 5: 1 variables .* kernel"):
        finite.check_variables(5, variables)


def test_numbers_whose_squares_are_too_large():
    kernel = tf.Variable([1e30, -1e38])
    finite.check_variables(5, {"kernel": kernel, "wide": tf.Variable([1e300], dtype=tf.float64)})
