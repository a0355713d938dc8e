"""Concurrent calls joined into one call of the model, as TensorFlow Serving's batching does.

A call that finds the model free runs at once. Calls that arrive meanwhile wait, and then run
together as one batch. Only calls of signatures that `Model.joins` allows are joined, and a call
with values that `Model.accepts` refuses runs alone. If a joined call fails all the same, each of
its calls runs alone, so that only the caller who caused the error receives it.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
from absl import logging

from sagan_tf.serving.server.rest import Call, RequestError, Response


@dataclasses.dataclass(frozen=True)
class BatchingParameters:
    """Limits of joined calls, named as in TensorFlow Serving's `session_bundle_config.proto`.

    Attributes:
        max_batch_size: most rows of a joined call.
        batch_timeout_micros: microseconds that a call waits for others though the model is free.
        max_enqueued_batches: most full batches that may wait; further calls are answered with 503.
        num_batch_threads: joined calls of a signature that may run at the same time.
        allowed_batch_sizes: sizes to which calls that can be joined are padded, ascending; empty
            for no padding.
    """

    max_batch_size: int = 64
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 100
    num_batch_threads: int = 2
    allowed_batch_sizes: tuple[int, ...] = ()


# Each call runs alone.
NO_BATCHING = BatchingParameters(max_batch_size=1)

# On a GPU, cuDNN chooses its kernels anew for each number of rows. On an H200 that took up to half
# a second each, and 64 callers, whose calls are joined in any number, got a sixth of the images of
# 8 callers.
FOR_GPUS = BatchingParameters(allowed_batch_sizes=(1, 2, 4, 8, 16, 32, 64))


# Callers whose calls just ended are likely to call again at once. Until all of them have, the model
# stays free for so long, as a multiple of the last run's time and at most in seconds. Otherwise the
# first would run alone, and callers would split into groups that take turns in small batches. A
# single caller never waits.
_PATIENCE = 2.0
_MOST_PATIENCE = 0.010

# Returns a call's outputs, or raises the model's error.
Outcome = Callable[[], Mapping[str, np.ndarray]]


@dataclasses.dataclass(eq=False)
class _Task:
    call: Call
    key: Hashable  # equal for calls that can be joined; `None` for a call that runs alone
    rows: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Response]
    since: float


class Batcher:
    """Runs calls in threads, joined where they can be.

    Args:
        parameters: limits of joined calls.
        num_threads: calls, joined or not, that may run at the same time.
    """

    def __init__(self, parameters: BatchingParameters, num_threads: int) -> None:
        self._parameters = parameters
        self._wait_seconds = parameters.batch_timeout_micros / 1e6
        self._changed = threading.Condition()
        self._queue: list[_Task] = []
        self._running: Counter[Hashable] = Counter()
        # Key, number and deadline, by `time.monotonic`, of calls that are likely to come soon.
        self._expected: tuple[Hashable, int, float] = None, 0, 0.0
        self._stopped = False
        for _ in range(num_threads):
            threading.Thread(target=self._work, daemon=True).start()

    async def run(self, call: Call, deadline: float) -> Response:
        """Runs a call, alone or joined with others.

        A call that runs cannot be stopped: if it is cancelled or late, its thread is busy until it
        ends, and its outputs are dropped. A call that has not begun is removed from the queue.

        Args:
            call: the call.
            deadline: time of the event loop until which it must be answered.

        Returns:
            The answer; also of a call that failed.

        Raises:
            RequestError: 503 if too many calls wait.
            TimeoutError: if it is late.
        """
        rows = _joinable_rows(call, self._parameters.max_batch_size)
        key = (id(call.model), call.signature_name, *_row_shapes(call)) if rows else None
        loop = asyncio.get_running_loop()
        task = _Task(call, key, rows, loop, loop.create_future(), time.monotonic())
        with self._changed:
            most = self._parameters.max_enqueued_batches * self._parameters.max_batch_size
            if len(self._queue) >= most:
                raise RequestError(503, "The queue is full; try again.", retry_after=1)
            self._queue.append(task)
            # A thread that is woken for nothing takes time from the one that reads requests. The
            # first call of a kind is not for nothing: the thread then waits until it is due.
            is_first = all(other.key != key for other in self._queue[:-1])
            if key is None or is_first or self._is_due(task):
                self._changed.notify()
        # `asyncio.timeout` does the same with more work, on each call.
        timer = loop.call_at(deadline, _end_late, task.future)
        try:
            return await task.future
        finally:
            timer.cancel()

    def stop(self) -> None:
        """Tells the threads to end; calls that have not begun are dropped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _work(self) -> None:
        while tasks := self._next():
            start = time.monotonic()
            try:
                outcomes = _run(tasks, self._parameters.allowed_batch_sizes)
            finally:
                self._release(tasks, time.monotonic() - start)
            # The next calls run while these answers are written.
            answers = [
                (task, task.call.answer(outcome))
                for task, outcome in zip(tasks, outcomes, strict=True)
            ]
            with contextlib.suppress(RuntimeError):  # the server is gone
                tasks[0].loop.call_soon_threadsafe(_hand_out, answers)

    def _release(self, tasks: Sequence[_Task], seconds: float) -> None:
        key = tasks[0].key
        with self._changed:
            self._running -= Counter([key])  # which keeps no zeros
            waiting = sum(task.key == key for task in self._queue)
            if key is not None:
                patience = min(_MOST_PATIENCE, seconds * _PATIENCE)
                self._expected = key, waiting + len(tasks), time.monotonic() + patience
            if self._queue:
                self._changed.notify()

    def _next(self) -> list[_Task]:
        """Waits for calls to run together and takes them off the queue; none after `stop`."""
        with self._changed:
            while not self._stopped:
                self._queue = [task for task in self._queue if not task.future.done()]
                if first := next(filter(self._is_due, self._queue), None):
                    tasks = self._joined_with(first)
                    self._queue = [task for task in self._queue if task not in tasks]
                    self._running[first.key] += 1
                    return tasks
                self._changed.wait(self._seconds_to_wait())
        return []

    def _is_due(self, task: _Task) -> bool:
        if task.key is None:
            return True
        if self._running[task.key] >= self._parameters.num_batch_threads:
            return False
        now = time.monotonic()
        mine = [other.rows for other in self._queue if other.key == task.key]
        key, calls, until = self._expected
        is_early = key == task.key and len(mine) < calls and now < until
        is_early = is_early or now - task.since < self._wait_seconds
        return not is_early or sum(mine) >= self._parameters.max_batch_size

    def _seconds_to_wait(self) -> float | None:
        """Returns the seconds until a call in the queue is due; `None` if only a change helps."""
        if not self._queue:
            return None
        now = time.monotonic()
        ends = [self._expected[2] - now, self._queue[0].since + self._wait_seconds - now]
        return min((end for end in ends if end > 0), default=None)

    def _joined_with(self, first: _Task) -> list[_Task]:
        """Returns the first call and those that can be joined with it, in order of arrival."""
        tasks, rows = [first], first.rows
        for task in self._queue if first.key is not None else ():
            fits = rows + task.rows <= self._parameters.max_batch_size
            if task is not first and task.key == first.key and fits:
                tasks.append(task)
                rows += task.rows
        return tasks


def _joinable_rows(call: Call, most: int) -> int:
    """Returns the rows of a call that can be joined with others, else 0."""
    sizes = {len(value) if value.ndim else 0 for value in call.inputs.values()}
    if most == 1 or len(sizes) != 1 or not 0 < min(sizes) < most:
        return 0
    return min(sizes) if call.model.joins(call.signature_name) else 0


def _row_shapes(call: Call) -> list[tuple[int, ...]]:
    return [value.shape[1:] for value in call.inputs.values()]


def _run(tasks: Sequence[_Task], allowed_sizes: Sequence[int]) -> list[Outcome]:
    """Runs tasks, joined unless the model refuses their values, and returns the outcome of each."""
    joined, call = tasks, _join(tasks, allowed_sizes)
    if call is tasks[0].call:
        return [_run_alone(call)]
    if not _is_accepted(call):
        joined = [task for task in tasks if _is_accepted(task.call)]
        call = _join(joined, allowed_sizes) if joined else call
    outcomes = dict(zip(joined, _run_joined(joined, call), strict=True))
    return [outcomes.get(task) or _run_alone(task.call) for task in tasks]


def _run_joined(tasks: Sequence[_Task], joined: Call) -> list[Outcome]:
    if tasks and joined is not tasks[0].call:
        outcome = _run_alone(joined)
        try:
            return _split(outcome(), [task.rows for task in tasks])
        except Exception as error:  # of any kind: a single caller may have caused it
            logging.warning("Joined calls failed and are run one by one: %s", error)
    return [_run_alone(task.call) for task in tasks]


def _is_accepted(call: Call) -> bool:
    return call.model.accepts(call.signature_name, call.inputs)


def _run_alone(call: Call) -> Outcome:
    try:
        outputs = call.model.predict(call.signature_name, call.inputs)
    except Exception as error:  # the answer will tell the caller
        raised = error

        def fail() -> Mapping[str, np.ndarray]:
            raise raised

        return fail
    return _gives(outputs)


def _gives(outputs: Mapping[str, np.ndarray]) -> Outcome:
    return lambda: outputs


def _join(tasks: Sequence[_Task], allowed_sizes: Sequence[int]) -> Call:
    """Returns one call with the rows of all, padded to an allowed size with copies of the first."""
    rows = sum(task.rows for task in tasks)
    missing = next((size for size in allowed_sizes if size >= rows), rows) - rows
    if len(tasks) == 1 and (tasks[0].key is None or not missing):
        return tasks[0].call
    inputs = {
        name: np.concatenate([task.call.inputs[name] for task in tasks] + [first[:1]] * missing)
        for name, first in tasks[0].call.inputs.items()
    }
    return dataclasses.replace(tasks[0].call, inputs=inputs)


def _split(outputs: Mapping[str, np.ndarray], rows: Sequence[int]) -> list[Outcome]:
    """Splits the outputs of a joined call into those of each call."""
    ends = list(itertools.accumulate(rows))
    for name, value in outputs.items():
        if len(value) < ends[-1]:
            raise ValueError(f"`{name}` has {len(value)} rows for {ends[-1]}.")
    parts = [
        {name: value[end - count : end] for name, value in outputs.items()}
        for end, count in zip(ends, rows, strict=True)
    ]
    return [_gives(part) for part in parts]


def _end_late(future: asyncio.Future[Response]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())


def _hand_out(answers: Sequence[tuple[_Task, Response]]) -> None:
    for task, answer in answers:
        if not task.future.done():
            task.future.set_result(answer)
