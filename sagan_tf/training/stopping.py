"""SIGTERM and Ctrl-C end a long piece of work after the step it is in."""

import os
import signal
import sys
import threading
from typing import Any


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """A signal has asked the loop to end."""


class StopSignal:
    """Notes SIGTERM and Ctrl-C while entered, so that the loop ends after the step it is in.

    The first is answered at once. A second signal ends the process without waiting. Python's
    handlers run only after the call into TensorFlow that is going on, and once for both signals; so
    a thread is told of each by the interpreter's own handler.

    Attributes:
        received: the signal's number, 0 before.
    """

    def __init__(self) -> None:
        self.received = 0

    def __enter__(self) -> "StopSignal":
        read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write)
        self._before = {
            number: signal.signal(number, self._receive)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        threading.Thread(target=_answer_signals, args=(read,), daemon=True).start()
        return self

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self._write)

    def check(self) -> None:
        """Raises `Stopped` if a signal came."""
        if self.received:
            raise Stopped

    def _receive(self, number: int, frame: Any) -> None:
        self.received = number


def _answer_signals(pipe: int) -> None:
    with open(pipe, "rb", buffering=0) as signals:
        if signals.read(1):
            print(
                "\nstopping after this step, then saving; once more ends at once, without saving",
                file=sys.stderr,
                flush=True,
            )
        second = signals.read(1)
    if second:  # else the loop has ended
        os._exit(128 + second[0])
