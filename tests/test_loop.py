import os
import signal

import pytest
import tensorflow as tf

from sagan_tf import loop

SCHEDULE = loop.Schedule(
    steps=25, steps_per_call=8, log_every=10, sample_every=7, checkpoint_every=20
)


def test_no_call_runs_past_what_is_due():
    steps = [0]
    while steps[-1] < 25:
        steps.append(steps[-1] + SCHEDULE.steps_until_due(steps[-1]))
    assert steps == [0, 7, 10, 14, 20, 21, 25]


def test_at_the_end_all_is_due():
    assert [step for step in range(1, 26) if SCHEDULE.due(step, 10)] == [10, 20, 25]


def test_losses_that_are_not_finite_stop_the_run():
    assert loop._finite(3, {"discriminator_loss": tf.constant(1.5)}) == {"discriminator_loss": 1.5}
    with pytest.raises(ValueError, match=r"broke before step 3: \{'generator_loss': nan\}"):
        loop._finite(3, {"discriminator_loss": 1.0, "generator_loss": float("nan")})


def test_a_signal_is_noted_once_and_then_acts_as_ever():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop = loop.StopSignal()
        assert stop.received == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
