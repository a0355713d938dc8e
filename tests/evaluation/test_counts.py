import pytest

from sagan_tf.evaluation.counts import check_counts
from sagan_tf.evaluation.protocols import PROTOCOLS

PROTOCOL = PROTOCOLS["fidelity"]


@pytest.mark.parametrize(
    ("metric", "generated", "real"),
    [("is", 10, 1), ("fid", 2, 2), ("fid_infinity", 16, 2), ("kid", 2, 2), ("overlap", 6, 6)],
)
def test_the_metric_its_flag_and_its_number_are_named(metric, generated, real):
    check_counts([metric], PROTOCOL, generated, real, True)
    check_counts([metric], PROTOCOL, generated, None, True)  # statistics alone
    message = rf"metric {metric} needs at least {generated} generated images \(`--eval_images`\)"
    with pytest.raises(ValueError, match=rf"{message}. Received: {generated - 1}. .*`--metrics`"):
        check_counts([metric], PROTOCOL, generated - 1, real, True, flag="eval_images")
    if real > 1:
        with pytest.raises(ValueError, match=rf"needs at least {real} real images .* {real - 1}\."):
            check_counts([metric], PROTOCOL, generated, real - 1, True)


def test_what_is_not_scored_needs_nothing():
    check_counts(["is"], PROTOCOL, 2, 2, False)  # an extractor without such logits
    check_counts(["agreement", "spread"], PROTOCOL, 1, 1, True)
