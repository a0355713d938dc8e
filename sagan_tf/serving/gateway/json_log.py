"""The gateway's log: lines of JSON on standard error, which no caller can flood."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

# Most lines per second about refused calls; the next line says how many were left out.
_REFUSALS_PER_SECOND = 20
# Seconds in which a repeated message is written only once.
_REPEAT_SECONDS = 10.0
_LONGEST_MESSAGE = 1000


def write_line(content: Mapping[str, Any]) -> None:
    """Writes a line of JSON, with the time in UTC."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(json.dumps({"time": now, **content}) + "\n")
    sys.stderr.flush()


class CallLog:
    """Writes a line for each call, but for refused calls only a limited number per second."""

    def __init__(self) -> None:
        self._second = 0
        self._written = 0
        self._left_out = 0

    def write(self, content: Mapping[str, Any], refused: bool) -> None:
        """Writes a call's line.

        Args:
            content: the line's keys and values.
            refused: whether the call was refused; anyone can cause such calls without limit.
        """
        if refused:
            second = int(time.monotonic())
            if second != self._second:
                self._second, self._written = second, 0
            if self._written >= _REFUSALS_PER_SECOND:
                self._left_out += 1
                return
            self._written += 1
        if self._left_out:
            content = {**content, "refused_and_not_written": self._left_out}
            self._left_out = 0
        write_line(content)


class JsonHandler(logging.Handler):
    """Writes what modules log as such lines; a repeated message once in 10 seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        self._last = {key: at for key, at in self._last.items() if now - at < _REPEAT_SECONDS}
        key = f"{record.name} {record.msg}"[:200]  # before its arguments are filled in
        if key in self._last:
            return
        self._last[key] = now
        content = {"level": record.levelname, "message": record.getMessage()[:_LONGEST_MESSAGE]}
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
            content["traceback"] = trace[-_LONGEST_MESSAGE:]
        write_line(content)


def use_json() -> None:
    """Makes this process log lines of JSON."""
    logging.basicConfig(handlers=[JsonHandler()], level=logging.WARNING, force=True)
