import numpy as np

from sagan_tf.training import collapse


def test_spread_is_that_within_classes():
    black, grey, white = (np.full((4, 4, 1), level, np.uint8) for level in (0, 100, 255))
    assert collapse.sample_spread([black, white, black, white], [0, 1, 0, 1]) == 0
    # Of 0 and 100 the standard deviation is 50; the other class has none.
    assert collapse.sample_spread([black, white, grey, white], [0, 1, 0, 1]) == 25
    assert collapse.sample_spread([black, grey], None) == 50


def test_what_lasts_is_reported_once(caplog):
    reports = collapse.CollapseReports()
    reports.see_loss(0, 0.0)
    reports.see_loss(1, 1.0)  # it has recovered
    for step in range(2, 40):
        reports.see_loss(step, 0.0)
    (record,) = caplog.records
    assert "Step 11: the discriminator's loss has been under 0.01 in 10 lines" in record.message
    assert "--r1_weight" in record.message
    assert "--init_from" in record.message


def test_a_healthy_run_is_not_reported(caplog):
    reports = collapse.CollapseReports()
    for step in range(50):
        reports.see_loss(step, 1.0)
    assert not caplog.records


def test_a_sign_lasts_from_the_last_of_so_many_in_a_row():
    sign = collapse.LastingSign(needed=3, ignored=2)
    seen = [True, True, True, True, False, True, True, True, True]
    assert [sign.lasts(one) for one in seen].index(True) == 7
    assert not any(sign.lasts(True) for _ in range(9))
