"""A guard in front of a model's server, which itself lets anyone ask anything.

Caller -> key -> rate -> body within time and size -> `admission` -> model's server. Only what is
admitted goes on, written anew; an answer's errors are told in the gateway's own words.
"""

import contextlib
import dataclasses
import hashlib
import hmac
import json
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import limits
from absl import logging
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from sagan_tf.output.files import write_text
from sagan_tf.serving import admission
from sagan_tf.serving.rest import RequestError
from sagan_tf.serving.server import address, read_body

# How long what is known of a model's signatures is taken for true.
_REFRESH_SECONDS = 10.0
_NO_KEY = "anonymous"
_KEY_LINE = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")


@dataclasses.dataclass(frozen=True)
class GatewaySettings:
    """What the gateway lets through.

    Attributes:
        upstream: address of the model's server.
        model_names: the only ones that can be asked for.
        labels: of versions that can be asked for.
        limits: of a request.
        requests_per_minute: of each key.
        timeout_seconds: to wait for a body, and for the model.
        max_in_flight: calls that wait for the model at a time; more are told to come back.
        keys: callers' names by the SHA-256 of their key; empty lets everyone in.
    """

    upstream: str
    model_names: tuple[str, ...]
    labels: tuple[str, ...] = ()
    limits: admission.Limits = dataclasses.field(default_factory=admission.Limits)
    requests_per_minute: int = 600
    timeout_seconds: float = 10.0
    max_in_flight: int = 64
    keys: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_keys(path: Path) -> dict[str, str]:
    """Callers' names by the SHA-256 of their key, from lines `name:sha256`.

    Raises:
        ValueError: if the file cannot be read, a line is none, or there is no line.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"`--api_key_file` {path} cannot be read: {error}") from None
    matches = [_KEY_LINE.fullmatch(line) for line in lines]
    if not all(matches) or not matches:
        raise ValueError(
            f"`--api_key_file` {path} must have lines `name:sha256`, which `--add_key=name` adds."
        )
    return {match[2]: match[1] for match in matches if match}


def add_key(path: Path, name: str) -> str:
    """Makes a key, keeps its SHA-256 under `name` and returns the key, which is kept nowhere.

    Raises:
        ValueError: if the name is none, is there already, or the file cannot be read.
    """
    key = secrets.token_urlsafe(32)
    line = f"{name}:{_hash(key)}"
    if not _KEY_LINE.fullmatch(line):
        raise ValueError(
            f"`--add_key` expects letters, digits, `.`, `_` and `-`. Received: {name!r}"
        )
    keys = read_keys(path) if path.exists() else {}
    if name in keys.values():
        raise ValueError(f"`--add_key` {name!r} is in {path} already; remove its line first.")
    lines = [*(f"{owner}:{digest}" for digest, owner in keys.items()), line]
    write_text(path, "\n".join(lines) + "\n")
    path.chmod(0o644)  # The gateway may run as another user, and a hash is no key.
    return key


def _hash(key: str) -> str:
    # Keys are 256 random bits: nothing slower is needed, as it would be for passwords.
    return hashlib.sha256(key.encode("utf-8", errors="replace")).hexdigest()


def make_gateway(settings: GatewaySettings) -> Router:
    """The application.

    `POST /v1/models/<name>[/labels/<label>]:predict`, `GET /v1/models/<name>`, `GET /healthz` and
    `GET /metrics`; the last two without a key. Every error is `{"error": ...}`.
    """
    gateway = _Gateway(settings)

    @contextlib.asynccontextmanager
    async def running(app: Router) -> AsyncIterator[None]:
        async with gateway.upstream:
            yield

    return Router(default=gateway, lifespan=running)


class _Gateway:
    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        timeout = httpx.Timeout(settings.timeout_seconds)
        self.upstream = httpx.AsyncClient(base_url=settings.upstream, timeout=timeout)
        self._rate = limits.RateLimitItemPerMinute(settings.requests_per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._known: dict[str, tuple[float, admission.Signatures]] = {}
        self._in_flight = 0
        names = "|".join(map(re.escape, settings.model_names))
        label_names = "|".join(map(re.escape, settings.labels))
        label = rf"(?:/labels/(?:{label_names}))?" if settings.labels else ""
        self._predict = re.compile(rf"(/v1/models/(?:{names}){label}):predict")
        self._status = re.compile(rf"/v1/models/(?:{names}){label}")
        self._registry = CollectorRegistry()
        # Labels take few values, whatever callers send: metrics must not grow with them.
        self._requests = Counter(
            "sagan_gateway_requests", "Answers.", ["signature", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "sagan_gateway_seconds", "Until the answer.", ["signature"], registry=self._registry
        )
        self._images = Counter("sagan_gateway_images", "Images made.", registry=self._registry)
        self._waiting = Gauge(
            "sagan_gateway_in_flight", "Calls that wait for the model.", registry=self._registry
        )
        self._waiting.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        start = time.monotonic()
        log = {"caller": _NO_KEY, "signature": "none", "rows": 0}
        try:
            response = await self._answer(request, log)
        except RequestError as error:
            headers = {"Retry-After": "1"} if error.status in (429, 503) else {}
            response = JSONResponse({"error": str(error)}, error.status, headers)
        except ClientDisconnect:  # nobody is left to be answered
            return
        except Exception:  # a defect of ours, of which the caller learns nothing more
            logging.exception("A request failed")
            response = JSONResponse({"error": "Internal error."}, 500)
        seconds = time.monotonic() - start
        self._requests.labels(log["signature"], response.status_code).inc()
        self._seconds.labels(log["signature"]).observe(seconds)
        _write_log(request, response, seconds, log)
        await response(scope, receive, send)

    async def _answer(self, request: Request, log: dict[str, Any]) -> Response:
        path = address(request)
        if "?" in path:
            raise RequestError(400, "Addresses have no query here.")
        if request.method == "GET" and path == "/metrics":
            return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
        if request.method == "GET" and path == "/healthz":
            for name in self._settings.model_names:
                await self._signatures(f"/v1/models/{name}")
            return JSONResponse({"status": "ok"})
        log["caller"] = self._caller(request)
        if not await self._limiter.hit(self._rate, log["caller"]):
            raise RequestError(
                429, f"At most {self._settings.requests_per_minute} requests a minute."
            )
        if request.method == "GET" and self._status.fullmatch(path):
            return await self._forward("GET", path)
        match = self._predict.fullmatch(path)
        if match is None:
            raise RequestError(404, "There is nothing at this address.")
        if request.method != "POST":
            raise RequestError(405, "Use POST.")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RequestError(415, "Send the body as it is, not compressed.")
        body = await read_body(
            request, self._settings.limits.max_body_bytes, self._settings.timeout_seconds
        )
        signatures = await self._signatures(match[1])
        admitted = admission.admit(body, signatures, self._settings.limits)
        log["signature"], log["rows"] = admitted.signature_name, admitted.rows
        response = await self._forward("POST", path, admitted.body)
        self._images.inc(admitted.rows)
        return response

    def _caller(self, request: Request) -> str:
        if not self._settings.keys:
            return request.client.host if request.client else _NO_KEY
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            key = request.headers.get("x-api-key", "")
        digest = _hash(key)
        found = None
        # All of them, so that the time does not tell which one was near.
        for known, name in self._settings.keys.items():
            if hmac.compare_digest(digest, known):
                found = name
        if found is None:
            raise RequestError(
                401, "A key is needed: send `Authorization: Bearer <key>` or `X-API-Key: <key>`."
            )
        return found

    async def _signatures(self, path: str) -> admission.Signatures:
        """Of the model at `path`, asked for again after a while."""
        since, signatures = self._known.get(path, (-_REFRESH_SECONDS, {}))
        if time.monotonic() - since < _REFRESH_SECONDS:
            return signatures
        answer = await self._forward("GET", f"{path}/metadata")
        num_classes = None
        try:
            metadata = json.loads(answer.body)
            definitions = metadata["metadata"]["signature_def"]["signature_def"]
            if "class_names" in definitions:
                body = b'{"signature_name": "class_names", "instances": [{"class_id": 0}]}'
                answer = json.loads((await self._forward("POST", f"{path}:predict", body)).body)
                num_classes = answer["predictions"][0]["num_classes"]
            signatures = admission.read_signatures(metadata, num_classes)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            logging.error("The model's server is no such server: %r", error)
            raise RequestError(502, "The model's server gave no answer that can be used.") from None
        self._known[path] = time.monotonic(), signatures
        return signatures

    async def _forward(self, method: str, path: str, body: bytes | None = None) -> Response:
        if self._in_flight >= self._settings.max_in_flight:
            raise RequestError(503, "The model is busy; try again.")
        self._in_flight += 1
        try:
            answer = await self.upstream.request(
                method, path, content=body, headers={"Content-Type": "application/json"}
            )
        except httpx.TimeoutException:
            raise RequestError(504, "The model took too long.") from None
        except httpx.HTTPError as error:
            logging.error("The model's server cannot be reached: %r", error)
            raise RequestError(503, "The model's server cannot be reached; try again.") from None
        finally:
            self._in_flight -= 1
        if answer.status_code == 200:
            return Response(answer.content, media_type="application/json")
        logging.error("The model's server answered %d: %s", answer.status_code, answer.text[:500])
        # Its words may hold what other callers sent.
        status, message = _UPSTREAM_ERRORS.get(answer.status_code, (502, "The model failed."))
        raise RequestError(status, message)


_UPSTREAM_ERRORS = {
    400: (400, "The model refused the inputs."),
    404: (404, "The model is not served now."),
    429: (503, "The model is busy; try again."),
    503: (503, "The model is busy; try again."),
    504: (504, "The model took too long."),
}


def _write_log(
    request: Request, response: Response, seconds: float, log: Mapping[str, Any]
) -> None:
    """One line of JSON, without anything that is secret or that a caller could shape at length."""
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "client": request.client.host if request.client else None,
        "method": request.method[:10],
        "path": address(request)[:100],
        "status": response.status_code,
        "ms": round(1000 * seconds, 1),
        **log,
    }
    print(json.dumps(line), file=sys.stderr, flush=True)
