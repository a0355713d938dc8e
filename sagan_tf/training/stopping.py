"""Lets SIGTERM and Ctrl-C end a long computation after its current step."""

import os
import signal
import sys
import threading
from typing import Any


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """A signal has asked the loop to end."""


class StopSignal:
    """Records SIGTERM and Ctrl-C as a context manager, so that the loop ends after its step.

    The first signal prints a message at once. A second signal ends the process without waiting.
    Python's handlers run only after the current call into TensorFlow, and only once for both
    signals; so the interpreter's wakeup file descriptor informs a thread of each signal.

    Attributes:
        received: number of the signal; 0 before one arrives.
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
        """Raises `Stopped` if a signal has arrived."""
        if self.received:
            raise Stopped

    def _receive(self, number: int, frame: Any) -> None:
        self.received = number


def _answer_signals(pipe: int) -> None:
    with open(pipe, "rb", buffering=0) as signals:
        if signals.read(1):
            print(
                "\nstopping after the steps under way, then saving; "
                "a second signal ends at once, without saving",
                file=sys.stderr,
                flush=True,
            )
        second = signals.read(1)
    if second:  # else the loop has ended
        os._exit(128 + second[0])
