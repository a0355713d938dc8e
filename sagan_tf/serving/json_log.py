"""The gateway's log: lines of JSON on standard error, of which no caller can cause a flood."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

# Lines a second about callers who were refused; the next line says how many were left out.
_REFUSALS_PER_SECOND = 20
# Seconds in which one message of a state, as of files running out, is written once.
_REPEAT_SECONDS = 10.0
_LONGEST_MESSAGE = 1000


def write_line(content: Mapping[str, Any]) -> None:
    """Writes a line."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(json.dumps({"time": now, **content}) + "\n")
    sys.stderr.flush()


class CallLog:
    """Writes one line for each call, and for refused ones as long as they are few."""

    def __init__(self) -> None:
        self._second = 0
        self._written = 0
        self._left_out = 0

    def write(self, content: Mapping[str, Any], refused: bool) -> None:
        """Writes a call's line.

        Args:
            content: of the line.
            refused: whether it is one of those that anyone can cause without limit.
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
    """Writes what modules log as lines of the same kind; a repeated message once in a while."""

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
    """Makes all that this process logs lines of JSON."""
    logging.basicConfig(handlers=[JsonHandler()], level=logging.WARNING, force=True)
