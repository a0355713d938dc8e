"""Asks the model's server for signatures and health in the background, for the gateway."""

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from sagan_tf.serving.gateway.upstream import Upstream
from sagan_tf.serving.server import signature_inputs
from sagan_tf.serving.server.rest import RequestError

_REFRESH_SECONDS = 10.0
_RETRY_SECONDS = 1.0
# Most seconds that the gateway's start waits for a first answer.
_START_SECONDS = 5.0
# A busy server counts as healthy for so many seconds without an answer.
_BUSY_SECONDS = 60.0
_CLASS_NAMES = b'{"signature_name": "class_names", "instances": [{"class_id": 0}]}'

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class KnownModel:
    """What is known of a model, or of a version of it by label.

    Attributes:
        signatures: inputs of each signature that callers may ask for.
        row_bytes: most bytes that one image takes in an answer, by signature.
        seen: time of the server's last answer, in seconds of `time.monotonic`.
        error: why the last request failed; `None` if it did not.
    """

    signatures: signature_inputs.Signatures = dataclasses.field(default_factory=dict)
    row_bytes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    seen: float = -_BUSY_SECONDS
    error: RequestError | None = None


class ModelWatch:
    """Keeps signatures at hand, so that neither calls nor health checks wait for a busy server.

    Args:
        upstream: the model's server.
        paths: addresses of models and labels, as in `/v1/models/sagan`.
    """

    def __init__(self, upstream: Upstream, paths: Sequence[str]) -> None:
        self._upstream = upstream
        nothing = RequestError(503, "The model's server cannot be reached; try again.", 1)
        self._known = {path: KnownModel(error=nothing) for path in paths}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Asks at once, and then every 10 seconds (1 after an error) while the context lasts."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await self._refresh_all()
        task = asyncio.create_task(self._keep_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def model(self, path: str) -> KnownModel:
        """Returns what is known of the model at an address.

        Raises:
            RequestError: if nothing is known yet.
        """
        known = self._known[path]
        if known.error is not None and not known.signatures:
            raise known.error
        return known

    def check_health(self, path: str) -> None:
        """Checks that the model at an address answers.

        Raises:
            RequestError: if it does not.
        """
        known = self._known[path]
        is_busy = known.error is not None and known.error.status == 504
        if known.error and not (is_busy and time.monotonic() - known.seen < _BUSY_SECONDS):
            raise known.error

    async def _keep_on(self) -> None:
        while True:
            failed = any(known.error for known in self._known.values())
            await asyncio.sleep(_RETRY_SECONDS if failed else _REFRESH_SECONDS)
            await self._refresh_all()

    async def _refresh_all(self) -> None:
        await asyncio.gather(*(self._refresh(path) for path in self._known))

    async def _refresh(self, path: str) -> None:
        try:
            self._known[path] = await self._ask(path)
        except RequestError as error:
            self._known[path] = dataclasses.replace(self._known[path], error=error)
        except Exception:  # a defect of ours must not end the watch
            _log.exception("The model's server could not be asked")

    async def _ask(self, path: str) -> KnownModel:
        metadata = await self._upstream.read(f"{path}/metadata")
        num_classes = None
        try:
            definitions: Any = metadata["metadata"]["signature_def"]["signature_def"]
            if "class_names" in definitions:
                answer = await self._upstream.read(f"{path}:predict", _CLASS_NAMES)
                num_classes = answer["predictions"][0]["num_classes"]
            signatures = signature_inputs.read_signatures(metadata, num_classes)
            return KnownModel(signatures, signature_inputs.row_bytes(metadata), time.monotonic())
        except (KeyError, TypeError, ValueError, IndexError) as error:
            _log.error("The model's server gave an answer that cannot be used: %r", error)
            raise RequestError(502, "The model's server gave no answer that can be used.") from None
