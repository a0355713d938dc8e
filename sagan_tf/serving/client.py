"""Samples a served generator. Needs no TensorFlow."""

import base64
import functools
import io
import ipaddress
import math
import operator
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import requests
from PIL import Image
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from sagan_tf.class_names import class_number

# Too many requests, or a server that is starting or stopping behind a proxy. Timeouts are not
# retried: the server may still be at work on the call.
_RETRIED_STATUSES = 429, 502, 503
# Classes whose names are asked for in one call: as many rows as a gateway lets through.
_NAMES_PER_CALL = 64


class ServingError(RuntimeError):
    """The server refused a call, or could not be reached.

    Attributes:
        status: HTTP status; `None` if there was no answer.
        told: the server's own message; empty if there is none.
    """

    def __init__(self, message: str, status: int | None = None, told: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.told = told


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class Client:
    """Calls an exported generator that `python -m sagan_tf.serve` or TensorFlow Serving serves.

    Args:
        url: address of the server, as in `http://127.0.0.1:8501`.
        model_name: name under which the server serves the model.
        version: version to call; `None` for the newest.
        timeout: seconds to wait for a connection, and then for each part of the answer.
        retries: most retries, at once and then after 0.4, 0.8, 1.6 ... seconds, when there is no
            connection or the server is busy.
        api_key: key for a gateway that needs one.

    Raises:
        ValueError: if `url` does not begin with http:// or https://.

    Example:

    >>> client = Client("http://127.0.0.1:8501", "digits")  # doctest: +SKIP
    >>> client.sample(class_id="7", seed=1234).save("seven.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8501",
        model_name: str = "sagan",
        version: int | None = None,
        timeout: float = 30.0,
        retries: int = 5,
        api_key: str | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"`url` must begin with http:// or https://. Received: {url!r}")
        self._url = f"{url.rstrip('/')}/v1/models/{urllib.parse.quote(model_name, safe='')}"
        if version is not None:
            self._url += f"/versions/{version}"
        self._timeout = timeout
        host = urllib.parse.urlsplit(url).hostname or ""
        # A proxy of the environment cannot reach this machine's own addresses.
        self._proxies = {"no_proxy": host} if _is_loopback(host) else None
        self._session = requests.Session()
        if api_key is not None:
            self._session.headers["Authorization"] = f"Bearer {api_key}"
        retry = Retry(
            retries,
            read=0,
            backoff_factor=0.2,
            status_forcelist=_RETRIED_STATUSES,
            allowed_methods=None,  # equal calls have equal answers
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def sample(
        self,
        class_id: int | str | Sequence[int | str] | None = None,
        seed: int | Sequence[int] = 0,
        truncation: float | None = None,
    ) -> Image.Image | list[Image.Image]:
        """Generates images.

        Args:
            class_id: number or name of the class, or a list with one for each image; `None` for
                a generator without classes.
            seed: integer >= 0, or a list with one for each image. A single class is used for
                all seeds of a list, and a single seed for all classes.
            truncation: latents are drawn from the normal distribution truncated at plus and minus
                this value; `None` for no truncation.

        Returns:
            A picture, or a list of pictures if `class_id` or `seed` is a list. `numpy.asarray`
            gives its pixels, uint8 `(H, W, 3)` or, of one channel, `(H, W)`.

        Raises:
            ValueError: for an unknown or ambiguous class name, lengths that differ, numbers that
                are not whole, or a truncation that is not positive.
            ServingError: if the server refuses or does not answer.
        """
        several = not all(value is None or _is_single(value) for value in (class_id, seed))
        seeds = _as_list(seed)
        inputs: dict[str, list[Any]] = {}
        if class_id is not None:
            classes = _as_list(class_id)
            count = max(len(classes), len(seeds))
            if {len(classes), len(seeds)} - {1, count}:
                raise ValueError(
                    "`class_id` and `seed` must be of one length, or single. Received: "
                    f"{len(classes)} classes, {len(seeds)} seeds"
                )
            classes, seeds = (
                values * count if len(values) == 1 else values for values in (classes, seeds)
            )
            inputs["class_id"] = [self._class_number(value) for value in classes]
        inputs["seed"] = [_whole_number(value, "seed") for value in seeds]
        signature = "sample"
        if truncation is not None and not truncation > 0:
            raise ValueError(f"`truncation` must be positive. Received: {truncation}")
        if truncation is not None and not math.isinf(truncation):
            signature = "serving_default"
            inputs["truncation"] = [float(truncation)] * len(seeds)
        outputs = self.predict(signature, inputs)
        if class_id is not None and "class_id" not in outputs:
            raise ValueError("`class_id` must be None: the generator has no classes.")
        pictures: list[Image.Image] = [
            Image.open(io.BytesIO(data)) for data in outputs["image_bytes"]
        ]
        return pictures if several else pictures[0]

    @functools.cached_property
    def class_names(self) -> list[str]:
        """Names of all classes, in the order of their numbers; asked for once.

        Raises:
            ServingError: if the server refuses, or the generator has no classes.
        """
        names: list[bytes] = []
        count = 1
        while len(names) < count:
            asked = range(len(names), min(len(names) + _NAMES_PER_CALL, count))
            answer = self.predict("class_names", {"class_id": list(asked)})
            count = answer["num_classes"][0]
            names += answer["class_name_bytes"]
        return [name.decode("utf-8") for name in names]

    def predict(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Calls any signature.

        Args:
            signature: name of the signature.
            inputs: lists or arrays by name, the batch as their first axis.

        Returns:
            Outputs by name: lists of bytes where the name ends in `_bytes`, else arrays.

        Raises:
            ValueError: for numbers that are not finite, which JSON cannot carry.
            ServingError: if the server refuses or does not answer.
        """
        columns = {name: np.asarray(value).tolist() for name, value in inputs.items()}
        outputs = self._outputs({"signature_name": signature, "inputs": columns})
        return {
            name: [base64.b64decode(item["b64"]) for item in value]
            if name.endswith("_bytes")
            else np.asarray(value)
            for name, value in outputs.items()
        }

    def _outputs(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            response = self._session.post(
                f"{self._url}:predict", json=body, timeout=self._timeout, proxies=self._proxies
            )
        except requests.exceptions.InvalidJSONError as error:
            raise ValueError(f"The inputs cannot be sent as JSON: {error}") from None
        except requests.exceptions.ProxyError as error:
            raise ServingError(
                f"The proxy that the environment names did not reach {self._url}: "
                f"{_reason(error)}. Name the server in `no_proxy` if it is reached without one."
            ) from error
        except requests.RequestException as error:
            raise ServingError(
                f"No answer from {self._url}: {_reason(error)}. Is the server running? "
                "`python -m sagan_tf.serve` starts one."
            ) from error
        told = ""
        try:
            answer = response.json()
            if response.ok:
                return dict(answer["outputs"])
            told = str(answer["error"])
        except (ValueError, KeyError, TypeError):  # something other than this API answered
            pass
        message = f"{self._url} answered {response.status_code}: {told or response.text[:200]}"
        raise ServingError(message, response.status_code, told)

    def _class_number(self, value: int | str) -> int:
        if not isinstance(value, str):
            return _whole_number(value, "class_id")
        return class_number(value, self.class_names, "class_id")


def _whole_number(value: Any, name: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"`{name}` must be a whole number. Received: {value!r}") from None


def _is_single(value: Any) -> bool:
    return isinstance(value, str) or np.ndim(value) == 0


def _as_list(value: Any) -> list[Any]:
    return [value] if _is_single(value) else list(value)


def _reason(error: requests.RequestException) -> str:
    """Returns the innermost of the errors that requests and urllib3 wrap in one another."""
    cause: Any = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause
    return str(cause).split(": ")[-1]
