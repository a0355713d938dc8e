"""The gateway's side towards the model's server: calls within a deadline, answers checked.

aiohttp keeps the connections. An answer up to a size is read whole and parsed; a larger one goes
on in parts as it comes, so that its size costs no memory.
"""

import contextlib
import logging
import re
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
import yarl

from sagan_tf.serving.rest import RequestError

# An answer up to here is read whole before any of it goes on.
WHOLE_BYTES = 2**20
# Less than any server's own, so that no call is sent on a connection about to be closed.
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
    """An answer went wrong after its first part had gone on."""


class Upstream:
    """A model's server, of TensorFlow Serving's REST API.

    Args:
        url: as in `http://127.0.0.1:8501`.
        timeout_seconds: from a call to the last byte of its answer.
        max_answer_bytes: of an answer; more is broken off.
    """

    def __init__(self, url: str, timeout_seconds: float, max_answer_bytes: int) -> None:
        self._url = url.rstrip("/")
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
        """The small JSON document at an address, parsed.

        Args:
            path: of status or metadata, or with a `body` of a call.
            body: of a call.

        Raises:
            RequestError: 502 if there is none, else as `predict`.
        """
        method = "GET" if body is None else "POST"
        return _parsed(await _whole(self._answer(method, path, body)))

    async def predict(self, path: str, body: bytes) -> AsyncGenerator[bytes]:
        """An answer of the model in parts; if it is small, in one.

        Raises:
            RequestError: before the first part: 400 or 502 if the answer cannot be used, 503 if
                there is none, 504 if it takes too long, or what the server's own status stands for.
            BrokenAnswerError: after it.
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
        url = yarl.URL(self._url + path, encoded=True)
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
                    # It closed a connection just as the call was sent; equal calls have equal
                    # answers, so it is sent once more.
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
    # Its words may hold what other callers sent.
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
    """Raises if an answer is not the model's, or has numbers that are not finite."""
    if holds_no_number(answer):
        raise RequestError(400, "The model has no finite answer to these inputs.")
    document = _parsed(answer)
    if not isinstance(document, dict) or document.keys() not in ({"predictions"}, {"outputs"}):
        raise RequestError(502, "The model's server gave no answer that can be used.")


def holds_no_number(text: bytes) -> bool:
    """Whether a part of an answer has `NaN` or an infinity for a number.

    A base64 string may hold the same letters, but not after a character that stands before numbers.
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
