"""Calls the model's server for the gateway, within a deadline, and checks its answers.

aiohttp keeps the connections. An answer of up to 1 MiB is read whole and parsed; a larger one is
passed on in parts as they arrive, so that it takes no memory.
"""

import contextlib
import functools
import logging
import re
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
import yarl

from sagan_tf.serving.server.rest import RequestError

# An answer of up to so many bytes is read whole before any of it is passed on.
WHOLE_BYTES = 2**20
# Shorter than servers' own limits, so that no call goes to a connection about to be closed.
_KEEP_ALIVE_SECONDS = 3.0
_FIRST_KEY = re.compile(rb'\s*\{\s*"(?:predictions|outputs)"\s*:')
_UPSTREAM_ERRORS = {
    400: (400, "The model refused the inputs."),
    404: (404, "The model is not served now."),
    429: (503, "The model is busy; try again."),
    503: (503, "The model is busy; try again."),
    504: (504, "The model took too long."),
}

_log = logging.getLogger(__name__)


class BrokenAnswerError(Exception):
    """An answer failed after its first part had been passed on."""


class Upstream:
    """A model's server that speaks TensorFlow Serving's REST API; an async context manager.

    Args:
        url: address of the server, as in `http://127.0.0.1:8501`.
        timeout_seconds: most seconds from a call to the last byte of its answer.
        max_answer_bytes: most bytes of an answer; a larger one is broken off.
    """

    def __init__(self, url: str, timeout_seconds: float, max_answer_bytes: int) -> None:
        base = url.rstrip("/")
        # Paths are few: the gateway knows them all.
        self._address = functools.cache(lambda path: yarl.URL(base + path, encoded=True))
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._max_answer_bytes = max_answer_bytes
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "Content-Type": "application/json"},
            skip_auto_headers=["User-Agent"],
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._open_session.close()

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("Enter the `Upstream` with `async with` before you call it.")
        return self._session

    async def read(self, path: str, body: bytes | None = None) -> Any:
        """Returns a small JSON document, parsed.

        Args:
            path: path of status or metadata; with a `body`, path of a call.
            body: JSON body to post; `None` to get.

        Raises:
            RequestError: 502 if the answer is not JSON or is over 1 MiB, else as `predict`.
        """
        method = "GET" if body is None else "POST"
        return _parsed(await _whole(self._answer(method, path, body)))

    async def predict(self, path: str, body: bytes) -> AsyncGenerator[bytes]:
        """Yields the model's answer to a call, a small one whole and a large one in parts.

        Args:
            path: path of the call, with its `:predict`.
            body: JSON body to post.

        Raises:
            RequestError: before the first part: 400 if outputs are not finite, 502 if the answer
                cannot be used, 503 if there is none, 504 if it takes too long; for an error of
                the server, the status of `_UPSTREAM_ERRORS`.
            BrokenAnswerError: after the first part.
        """
        async with contextlib.aclosing(self._answer("POST", path, body)) as parts:
            async for part in self._checked(parts):
                yield part

    async def _checked(self, parts: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        answer, ended = b"", True
        async for part in parts:
            answer += part
            if len(answer) > WHOLE_BYTES:
                ended = False
                break
        if ended:
            _check_answer(answer)
            yield answer
            return
        if not _FIRST_KEY.match(answer):
            raise RequestError(502, "The model's server gave no answer that can be used.")
        if holds_no_number(answer):
            raise RequestError(400, "The model has no finite answer to these inputs.")
        yield answer
        tail, size = answer[-8:], len(answer)
        try:
            async for part in parts:
                size += len(part)
                if holds_no_number(tail + part) or size > self._max_answer_bytes:
                    raise BrokenAnswerError("It is too large, or not finite.")
                tail = (tail + part)[-8:]
                yield part
        except RequestError as error:
            raise BrokenAnswerError(str(error)) from None
        if not tail.rstrip().endswith(b"}"):
            raise BrokenAnswerError("It ends too early.")

    async def _answer(self, method: str, path: str, body: bytes | None) -> AsyncGenerator[bytes]:
        url = self._address(path)
        try:
            for last_try in (False, True):
                try:
                    async with self._open_session.request(
                        method, url, data=body, allow_redirects=False
                    ) as answer:
                        if answer.status != 200:
                            await _refuse(answer)
                        async for part in answer.content.iter_any():
                            yield part
                        return
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                    # The server closed the connection just as the call was sent. Equal calls have
                    # equal answers, so the call is sent once more.
                    if last_try or isinstance(error, aiohttp.ClientConnectorError):
                        raise
        except TimeoutError:
            raise RequestError(504, "The model took too long.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            _log.error("The model's server cannot be reached: %r", error)
            raise RequestError(
                503, "The model's server cannot be reached; try again.", retry_after=1
            ) from None


async def _refuse(answer: aiohttp.ClientResponse) -> None:
    told = (await answer.content.read(500)).decode("utf-8", errors="replace")
    _log.error("The model's server answered %d: %s", answer.status, told)
    # The server's message is not passed on: it may contain other callers' data.
    status, message = _UPSTREAM_ERRORS.get(answer.status, (502, "The model failed."))
    raise RequestError(status, message, retry_after=1 if status == 503 else None)


async def _whole(answer: AsyncGenerator[bytes]) -> bytes:
    whole = b""
    async with contextlib.aclosing(answer) as parts:
        async for part in parts:
            whole += part
            if len(whole) > WHOLE_BYTES:
                raise RequestError(502, "The model's server gave no answer that can be used.")
    return whole


def _parsed(answer: bytes) -> Any:
    try:
        return orjson.loads(answer)
    except ValueError:
        raise RequestError(502, "The model's server gave no answer that can be used.") from None


def _check_answer(answer: bytes) -> None:
    """Checks that an answer has the form of a model's, and only finite numbers."""
    if holds_no_number(answer):
        raise RequestError(400, "The model has no finite answer to these inputs.")
    document = _parsed(answer)
    if not isinstance(document, dict) or document.keys() not in ({"predictions"}, {"outputs"}):
        raise RequestError(502, "The model's server gave no answer that can be used.")


def holds_no_number(text: bytes) -> bool:
    """Returns whether a part of an answer has `NaN` or an infinity in place of a number.

    A base64 string may contain the same letters, but never after a character that precedes numbers.
    """
    for name in (b"NaN", b"Inf"):
        at = text.find(name)
        while at >= 0:
            before = text[at - 1 : at] if at else b""
            if before == b"-":
                before = text[at - 2 : at - 1]
            if before in (b"[", b",", b":", b" ", b"\n", b"\t", b"\r"):
                return True
            at = text.find(name, at + 1)
    return False
