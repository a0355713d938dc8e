import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.training import health


def test_losses_that_are_not_finite():
    assert health.check_losses(3, {"generator_loss": tf.constant(1.5)}) == {"generator_loss": 1.5}
    with pytest.raises(ValueError, match=r"broke before step 3: \{'generator_loss': nan\}"):
        health.check_losses(3, {"discriminator_loss": 1.0, "generator_loss": float("nan")})


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_one_number_of_one_variable(number):
    variables = {"step": tf.Variable(3), "kernel": tf.Variable(tf.ones((2, 3)))}
    health.check_variables(5, variables)
    variables["kernel"][1, 2].assign(number)
    with pytest.raises(health.NotFiniteError, match=r"before step 5: 1 variables .* kernel"):
        health.check_variables(5, variables)


def test_spread_is_that_within_classes():
    black, grey, white = (np.full((4, 4, 1), level, np.uint8) for level in (0, 100, 255))
    assert health.sample_spread([black, white, black, white], [0, 1, 0, 1]) == 0
    # Of 0 and 100 the standard deviation is 50; the other class has none.
    assert health.sample_spread([black, white, grey, white], [0, 1, 0, 1]) == 25
    assert health.sample_spread([black, grey], None) == 50


def test_what_lasts_is_reported_once(caplog):
    reports = health.CollapseReports()
    reports.see_loss(0, 0.0)
    reports.see_loss(1, 1.0)  # it has recovered
    for step in range(2, 40):
        reports.see_loss(step, 0.0)
    (record,) = caplog.records
    assert "Step 11: the discriminator's loss has been under 0.01 in 10 lines" in record.message
    assert "--discriminator_learning_rate" in record.message
    assert "--init_from" in record.message


def test_a_healthy_run_is_not_reported(caplog):
    reports = health.CollapseReports()
    for step in range(50):
        reports.see_loss(step, 1.0)
    assert not caplog.records


def test_a_sign_lasts_from_the_last_of_so_many_in_a_row():
    sign = health.LastingSign(needed=3, ignored=2)
    seen = [True, True, True, True, False, True, True, True, True]
    assert [sign.lasts(one) for one in seen].index(True) == 7
    assert not any(sign.lasts(True) for _ in range(9))
