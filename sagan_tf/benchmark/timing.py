"""Interleaved timing: the cases of a comparison run in turn, each in a process of its own."""

import dataclasses
import multiprocessing
import os
import pickle
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tqdm import tqdm

WARM_UP_CALLS = 2
# TensorFlow does not survive a fork once it has computed, but importing it takes seconds: processes
# are forked from one that has imported it and does nothing else.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tensorflow", "keras"])


# Result of a `prepare` function: a function that does one round of work, and its number of units.
Prepared = tuple[Callable[[], Any], float]


@dataclasses.dataclass(frozen=True)
class Case:
    """A case to time.

    Attributes:
        name: name of the case in the table.
        prepare: a module-level function, called with `arguments` in the case's own process; returns
            the function to time and the number of work units in one call of it.
        unit: unit of the work.
        arguments: keyword arguments of `prepare`.
        macs_per_unit: multiply-accumulates per unit of work, or `None` if they are not known.
        against: name of the case to compare this one with; `None` for the first case.
        gives_latencies: whether the timed function returns the seconds of each of its parts.
        one_thread: whether TensorFlow computes each operation on one core of the CPU.
    """

    name: str
    prepare: Callable[..., tuple[Callable[[], Any], float]]
    unit: str
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    macs_per_unit: float | None = None
    against: str | None = None
    gives_latencies: bool = False
    one_thread: bool = False


@dataclasses.dataclass(frozen=True)
class Result:
    """The measurements of a case.

    Attributes:
        name: name of the case.
        unit: unit of the work.
        rates: units of work per second in each round.
        ratios: rates divided by those of the case it is compared with, round by round, if both have
            the same unit; else empty.
        latencies: seconds of each part in all rounds, if the case returns them.
        peak_bytes: peak memory, without the memory that TensorFlow itself takes.
        macs_per_second: multiply-accumulates per second at the median rate, or `None`.
    """

    name: str
    unit: str
    rates: list[float]
    ratios: list[float]
    latencies: list[float]
    peak_bytes: int
    macs_per_second: float | None


def compare(cases: Sequence[Case], rounds: int, device: str, title: str = "") -> list[Result]:
    """Times the cases in turn, `rounds` times, after a warm-up.

    So other load on the machine affects all cases alike, and ratios are taken within a round.

    Args:
        cases: the cases; by default the others are compared with the first one.
        rounds: number of times that each case is timed.
        device: "cpu" or "gpu".
        title: title of the progress bar.

    Raises:
        ValueError: if a case cannot run here; the message names it.
    """
    workers: list[_Worker] = []
    with (
        tempfile.TemporaryDirectory(prefix="sagan_tf-benchmark-") as scratch,
        tqdm(total=len(cases) * (rounds + 1), desc=title, unit="call", leave=False) as bar,
    ):
        for case in cases:
            workers.append(_Worker(case, device, scratch))
            bar.update()
        for _ in range(rounds):
            for worker in workers:
                worker.time_once()
                bar.update()
        named: dict[str | None, _Worker] = {
            case.name: worker for case, worker in zip(cases, workers, strict=True)
        }
        return [
            worker.result(named.get(case.against, workers[0]))
            for case, worker in zip(cases, workers, strict=True)
        ]


class _Worker:
    """A case in its own process, warmed up and waiting."""

    def __init__(self, case: Case, device: str, scratch: str) -> None:
        self._case = case
        self._connection, theirs = multiprocessing.Pipe()
        process = _FORKS.Process(
            target=_serve, args=(theirs, pickle.dumps(case), device, scratch), daemon=True
        )
        process.start()
        theirs.close()
        self._work = self._receive()
        self.rates: list[float] = []
        self._latencies: list[float] = []

    def time_once(self) -> None:
        self._connection.send(True)
        seconds, latencies = self._receive()
        self.rates.append(self._work / seconds)
        self._latencies += latencies

    def result(self, reference: "_Worker") -> Result:
        self._connection.send(False)
        peak_bytes = int(self._receive())
        case = self._case
        ratios = [ours / theirs for ours, theirs in zip(self.rates, reference.rates, strict=True)]
        macs = case.macs_per_unit
        return Result(
            case.name,
            case.unit,
            self.rates,
            ratios if case.unit == reference._case.unit else [],
            self._latencies,
            peak_bytes,
            None if macs is None else macs * statistics.median(self.rates),
        )

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            answer = "its process ended; perhaps it ran out of memory"
        if isinstance(answer, str):
            raise ValueError(f"`{self._case.name}` cannot run here: {answer}")
        return answer


def _serve(connection: Connection, pickled_case: bytes, device: str, scratch: str) -> None:
    """Answers each `True` with the seconds of a call and of its parts, and `False` with memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command's own process ends this one
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # and what this one has started
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # TensorFlow's logs would tear the progress bar
    tempfile.tempdir = scratch  # the command removes it, however this process ends
    try:
        case = pickle.loads(pickled_case)
        baseline = _start_tensorflow(device, case.one_thread)
        function, work = case.prepare(**case.arguments)
        for _ in range(WARM_UP_CALLS):
            function()
        connection.send(work)
        while connection.recv():
            start = time.perf_counter()
            latencies = function()
            seconds = time.perf_counter() - start
            connection.send((seconds, latencies if case.gives_latencies else []))
        connection.send(_peak_bytes(device) - baseline)
    except EOFError:  # the command has ended
        sys.exit()
    except Exception as error:  # any error; the command reports it with the case's name
        connection.send(f"{type(error).__name__}: {error}")


def _start_tensorflow(device: str, one_thread: bool) -> int:
    """Starts TensorFlow on the device, and returns the memory in bytes that this takes."""
    import tensorflow as tf

    from sagan_tf.machine import devices

    if one_thread:
        devices.one_thread_per_operation(device)
    gpus = tf.config.list_physical_devices("GPU")
    if device == "cpu":
        gpus = []
        tf.config.set_visible_devices(gpus, "GPU")
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # for commands that a case starts
    for gpu in gpus:  # shared with other cases' processes; TensorFlow requires the same for all
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.linalg.matmul(tf.ones((8, 8)), tf.ones((8, 8))).numpy()
    return _peak_bytes(device)


def _peak_bytes(device: str) -> int:
    import tensorflow as tf

    if device == "gpu":
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    # The peak of `resource.getrusage` would include that of the process that started this one.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmHWM"].split()[0]) * 1024
