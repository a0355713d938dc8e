import os
import signal

from sagan_tf.training.stopping import StopSignal


def test_a_signal_is_noted_and_handlers_come_back():
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    with StopSignal() as stop:
        assert stop.received == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == signal.SIGTERM
    assert {number: signal.getsignal(number) for number in numbers} == before
