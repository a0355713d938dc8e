"""What the gateway counts, in Prometheus' format."""

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.responses import Response


class GatewayMetrics:
    """Counts answers, their seconds and images.

    Labels take few values whatever callers send, so that metrics cannot grow.

    Args:
        in_flight: returns the number of calls that wait for the model.
    """

    def __init__(self, in_flight: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
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
        self._waiting.set_function(in_flight)

    def count_answer(self, signature: str, status: int, seconds: float) -> None:
        """Counts an answer and the seconds until it was sent.

        Args:
            signature: name of an admitted call's signature, else "none".
            status: HTTP status.
            seconds: from the request to the answer's end.
        """
        self._requests.labels(signature, status).inc()
        self._seconds.labels(signature).observe(seconds)

    def count_images(self, images: int) -> None:
        """Counts images that the model made."""
        self._images.inc(images)

    def answer(self) -> Response:
        """Returns all metrics as text."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
