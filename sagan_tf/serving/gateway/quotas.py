"""Limits callers: requests and images per minute, and calls at the same time."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator

from sagan_tf.serving.server.rest import RequestError

# Resolution in which requests are counted, and the length of a minute in its steps.
_STEPS_PER_SECOND = 10
_WINDOW_STEPS = 60 * _STEPS_PER_SECOND
# Short, because the window moves on steadily and soon lets single calls through.
_RETRY_SECONDS = 1


class MovingWindow:
    """Limits what each caller takes in any 60 seconds.

    Args:
        limit: most that a caller may take in 60 seconds.
        clock: returns the time in seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._counts: dict[str, Counter[int]] = {}  # by caller and step, oldest first
        self._swept = 0

    def take(self, caller: str, cost: int = 1) -> bool:
        """Takes `cost` from what the caller has left, or returns `False` if that is less."""
        step = int(self._clock() * _STEPS_PER_SECOND)
        if step - self._swept > _WINDOW_STEPS:
            self._sweep(step)
        counts = self._counts.setdefault(caller, Counter())
        while counts and next(iter(counts)) < step - _WINDOW_STEPS:
            del counts[next(iter(counts))]
        if counts.total() + cost > self._limit:
            return False
        counts[step] += cost
        return True

    def _sweep(self, step: int) -> None:
        """Forgets callers of more than a minute ago: there may be any number of addresses."""
        self._swept = step
        self._counts = {
            caller: counts
            for caller, counts in self._counts.items()
            if counts and max(counts) >= step - _WINDOW_STEPS
        }


class Quotas:
    """Counts calls and images of each caller, and refuses those beyond the limits.

    Args:
        requests_per_minute: most requests of a caller in any minute.
        images_per_minute: most images of a caller in any minute.
        max_in_flight: most calls that wait for the model at the same time.
        max_in_flight_per_caller: most of these from one caller.
    """

    def __init__(
        self,
        requests_per_minute: int,
        images_per_minute: int,
        max_in_flight: int,
        max_in_flight_per_caller: int,
    ) -> None:
        self._requests_per_minute = requests_per_minute
        self._images_per_minute = images_per_minute
        self._requests = MovingWindow(requests_per_minute)
        self._images = MovingWindow(images_per_minute)
        self._max_in_flight = max_in_flight
        self._max_in_flight_per_caller = max_in_flight_per_caller
        self._in_flight: Counter[str] = Counter()

    @property
    def in_flight(self) -> int:
        """Number of calls that wait for the model."""
        return self._in_flight.total()

    def count_request(self, caller: str) -> None:
        """Counts a request.

        Raises:
            RequestError: 429 if the caller has none left.
        """
        if not self._requests.take(caller):
            message = f"At most {self._requests_per_minute} requests a minute."
            raise RequestError(429, message, _RETRY_SECONDS)

    def count_images(self, caller: str, images: int) -> None:
        """Counts images before they are made.

        Raises:
            RequestError: 429 if the caller has fewer left.
        """
        if not self._images.take(caller, images):
            message = f"At most {self._images_per_minute} images a minute."
            raise RequestError(429, message, _RETRY_SECONDS)

    @contextlib.contextmanager
    def slot(self, caller: str) -> Iterator[None]:
        """Takes a place among the calls that wait for the model, and frees it afterwards.

        Raises:
            RequestError: 429 if the caller has no place left, 503 if there is none at all.
        """
        if self._in_flight[caller] >= self._max_in_flight_per_caller:
            message = f"At most {self._max_in_flight_per_caller} calls at a time."
            raise RequestError(429, message, _RETRY_SECONDS)
        if self.in_flight >= self._max_in_flight:
            raise RequestError(503, "The model is busy; try again.", _RETRY_SECONDS)
        self._in_flight[caller] += 1
        try:
            yield
        finally:
            self._in_flight[caller] -= 1
            if not self._in_flight[caller]:
                del self._in_flight[caller]
