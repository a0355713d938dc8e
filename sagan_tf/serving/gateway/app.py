"""A guard in front of a model's server, which has neither keys nor quotas of its own.

Caller -> key -> quotas -> body within time and size -> `admission` -> model's server. Only admitted
requests are sent on, serialized anew; the server's errors reach callers in the gateway's own words.
"""

import asyncio
import contextlib
import dataclasses
import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from sagan_tf.serving.gateway import admission
from sagan_tf.serving.gateway.callers import Network, caller_of_key, client_address, network_of
from sagan_tf.serving.gateway.json_log import CallLog
from sagan_tf.serving.gateway.metrics import GatewayMetrics
from sagan_tf.serving.gateway.model_watch import ModelWatch
from sagan_tf.serving.gateway.quotas import Quotas
from sagan_tf.serving.gateway.upstream import BrokenAnswerError, Upstream
from sagan_tf.serving.server.app import address, error_response, read_body
from sagan_tf.serving.server.rest import RequestError

_NO_KEY = "anonymous"
_STATES = re.compile("[A-Z_]{1,30}")

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class GatewaySettings:
    """Settings of the gateway. A caller is a key or, if there are no keys, an address.

    Attributes:
        upstream: address of the model's server, as in `http://127.0.0.1:8501`.
        model_names: models that callers may ask for.
        labels: labels of versions that callers may ask for.
        limits: limits of a single request.
        requests_per_minute: most requests of a caller in any minute; also of an address that
            sends no known key, and of one that asks for health or metrics.
        images_per_minute: most images of a caller in any minute.
        timeout_seconds: seconds to wait for a body, and again for the model's whole answer.
        max_in_flight: most calls that wait for the model at the same time; further ones are
            answered with 503.
        max_in_flight_per_caller: most of these calls from one caller.
        max_answer_bytes: most bytes of an answer.
        keys: callers' names by the SHA-256 of their key; empty lets everyone in.
        trusted_proxies: networks of proxies whose `X-Forwarded-For` is believed.
    """

    upstream: str
    model_names: tuple[str, ...]
    labels: tuple[str, ...] = ()
    limits: admission.Limits = dataclasses.field(default_factory=admission.Limits)
    requests_per_minute: int = 600
    images_per_minute: int = 6000
    timeout_seconds: float = 10.0
    max_in_flight: int = 64
    max_in_flight_per_caller: int = 16
    max_answer_bytes: int = 64 * 2**20
    keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
    trusted_proxies: tuple[Network, ...] = ()


def make_gateway(settings: GatewaySettings) -> Router:
    """Makes the application.

    It answers `POST /v1/models/<name>[/labels/<label>]:predict`, `GET /v1/models/<name>`,
    `GET /healthz` and `GET /metrics`; the last two without a key. Every error is `{"error": ...}`.

    Args:
        settings: of the gateway.
    """
    gateway = _Gateway(settings)

    @contextlib.asynccontextmanager
    async def running(app: Router) -> AsyncIterator[None]:
        async with gateway.upstream, gateway.watch.running():
            yield

    return Router(default=gateway, lifespan=running)


@dataclasses.dataclass
class _Call:
    """Holds what is known of a call so far, for metrics and the log."""

    client: str
    caller: str = _NO_KEY
    path: str = "other"  # an unknown address may hold anything, even a key
    signature: str = "none"
    rows: int = 0
    refused: bool = True  # until the caller is admitted


class _Gateway:
    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self.upstream = Upstream(
            settings.upstream, settings.timeout_seconds, settings.max_answer_bytes
        )
        base_paths = [f"/v1/models/{name}" for name in settings.model_names]
        self._base_paths = base_paths
        labelled = [f"{path}/labels/{label}" for path in base_paths for label in settings.labels]
        self._paths = {*base_paths, *labelled}
        self.watch = ModelWatch(self.upstream, [*base_paths, *labelled])
        self._quotas = Quotas(
            settings.requests_per_minute,
            settings.images_per_minute,
            settings.max_in_flight,
            settings.max_in_flight_per_caller,
        )
        self._log = CallLog()
        self._metrics = GatewayMetrics(lambda: self._quotas.in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        start = time.monotonic()
        peer = request.client.host if request.client else "unknown"
        forwarded_for = request.headers.getlist("x-forwarded-for")
        call = _Call(client_address(peer, forwarded_for, self._settings.trusted_proxies))
        try:
            status = await self._answer(request, call, scope, receive, send)
        except RequestError as error:
            status = error.status
            await error_response(error)(scope, receive, send)
        except ClientDisconnect:  # nobody is left to be answered
            return
        except BrokenAnswerError as error:  # the caller sees that it is cut short
            _log.error("An answer was broken off: %s", error)
            status = 502
        except asyncio.CancelledError:
            await error_response(RequestError(503, "The server stops; try again."))(
                scope, receive, send
            )
            return
        except Exception:  # a defect of ours; the caller learns no details
            _log.exception("A request failed")
            status = 500
            await JSONResponse({"error": "Internal error."}, 500)(scope, receive, send)
        self._account(request, call, status, time.monotonic() - start)

    def _account(self, request: Request, call: _Call, status: int, seconds: float) -> None:
        self._metrics.count_answer(call.signature, status, seconds)
        if call.path in ("/healthz", "/metrics") and status == 200:
            return  # machines ask for these all the time
        line = {
            "client": call.client,
            "method": request.method[:10],
            "path": call.path,
            "status": status,
            "ms": round(1000 * seconds, 1),
            "caller": call.caller,
            "signature": call.signature,
            "rows": call.rows,
        }
        self._log.write(line, call.refused or status == 429)

    async def _answer(
        self, request: Request, call: _Call, scope: Scope, receive: Receive, send: Send
    ) -> int:
        target = address(request)
        path, verb = target.removesuffix(":predict"), target.endswith(":predict")
        if path in self._paths or target in ("/healthz", "/metrics"):
            call.path = target
        if target in ("/healthz", "/metrics") and request.method == "GET":
            self._quotas.count_request(f"open:{network_of(call.client)}")
            await self._open(target)(scope, receive, send)
            return 200
        caller = self._admitted_caller(request, call)
        if "?" in target:
            raise RequestError(400, "Addresses have no query here.")
        if path not in self._paths:
            raise RequestError(404, "There is nothing at this address.")
        if verb != (request.method == "POST"):
            raise RequestError(405, "Use POST for `:predict`, and GET for the status.")
        if not verb:
            with self._quotas.slot(caller):
                status = _plain_status(await self.upstream.read(path))
            await JSONResponse(status)(scope, receive, send)
            return 200
        admitted = await self._admit(request, call, path)
        with self._quotas.slot(caller):
            self._quotas.count_images(caller, admitted.rows)
            answer = self.upstream.predict(target, admitted.body)
            async with contextlib.aclosing(answer) as parts:
                await _pass_on(parts, send)
        self._metrics.count_images(admitted.rows)
        return 200

    def _open(self, target: str) -> Response:
        """Returns health or metrics, which everyone may ask for; neither waits for the model."""
        if target == "/metrics":
            return self._metrics.answer()
        for path in self._base_paths:
            self.watch.check_health(path)
        return JSONResponse({"status": "ok"})

    def _admitted_caller(self, request: Request, call: _Call) -> str:
        """Checks the caller's key and counts the request; returns the name that quotas use."""
        origin = f"address:{network_of(call.client)}"
        if not self._settings.keys:
            self._quotas.count_request(origin)
            call.refused = False
            return origin
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            key = request.headers.get("x-api-key", "")
        name = caller_of_key(key.strip(), self._settings.keys)
        if name is None:
            self._quotas.count_request(origin)
            raise RequestError(
                401, "A key is needed: send `Authorization: Bearer <key>` or `X-API-Key: <key>`."
            )
        call.caller, call.refused = name, False
        self._quotas.count_request(f"key:{name}")
        return f"key:{name}"

    async def _admit(self, request: Request, call: _Call, path: str) -> admission.Admitted:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RequestError(415, "Send the body as it is, not compressed.")
        settings = self._settings
        body = await read_body(request, settings.limits.max_body_bytes, settings.timeout_seconds)
        model = self.watch.model(path)
        admitted = admission.admit(body, model.signatures, settings.limits)
        call.signature, call.rows = admitted.signature_name, admitted.rows
        most = settings.max_answer_bytes // max(1, model.row_bytes.get(call.signature, 1))
        if admitted.rows > most:
            raise RequestError(
                400,
                f"At most {most} images at a time of `{call.signature}`, whose answers are large. "
                f"Received: {admitted.rows}",
            )
        return admitted


async def _pass_on(parts: AsyncGenerator[bytes], send: Send) -> None:
    """Sends an answer, with its length if it has one part, else part by part."""
    first = await anext(parts)
    second = await anext(parts, None)
    headers = [(b"content-type", b"application/json")]
    if second is None:
        headers.append((b"content-length", str(len(first)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": first, "more_body": second is not None})
    if second is None:
        return
    await send({"type": "http.response.body", "body": second, "more_body": True})
    async for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _plain_status(document: Any) -> dict[str, Any]:
    """Copies versions and their states, but no error messages: these name files of the server."""
    try:
        return {
            "model_version_status": [
                {
                    "version": str(int(entry["version"])),
                    "state": _state(entry["state"]),
                    "status": {
                        "error_code": _state(entry["status"]["error_code"]),
                        "error_message": "",
                    },
                }
                for entry in document["model_version_status"]
            ]
        }
    except (KeyError, TypeError, ValueError):
        raise RequestError(502, "The model's server gave no answer that can be used.") from None


def _state(word: str) -> str:
    if not _STATES.fullmatch(word):
        raise ValueError(word)
    return word
