"""Interleaved timing: what is compared runs in turn, each case in a process of its own."""

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


# What a `prepare` function gives: one round of the work, and how many units that is.
Prepared = tuple[Callable[[], Any], float]


@dataclasses.dataclass(frozen=True)
class Case:
    """Something to time.

    Attributes:
        name: in the table.
        prepare: a function of a module, called with `arguments` in the case's own process; gives
            the function to time and how much work one call of it does.
        unit: of the work.
        arguments: of `prepare`.
        macs_per_unit: multiply-accumulates, where they are known.
        against: name of the case to compare it with; `None` for the first one.
        gives_latencies: whether the function that is timed gives the seconds of each of its parts.
    """

    name: str
    prepare: Callable[..., tuple[Callable[[], Any], float]]
    unit: str
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    macs_per_unit: float | None = None
    against: str | None = None
    gives_latencies: bool = False


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured of a case.

    Attributes:
        name: the case's.
        unit: of the work.
        rates: units of work per second, of each round.
        ratios: of its rates to those of the case it is compared with, in the same rounds, if the
            unit is the same; else none.
        latencies: seconds of each part of all rounds, if the case gives them.
        peak_bytes: of memory, beyond what TensorFlow takes by itself.
        macs_per_second: multiply-accumulates, at the median rate, where known.
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

    What the machine does beside then disturbs all of them alike, and ratios are taken within a
    round.

    Args:
        cases: the first is what the others are compared with.
        rounds: how often each is timed.
        device: "cpu" or "gpu".
        title: of the progress bar.

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
        # Spawned, since TensorFlow does not survive a fork.
        process = multiprocessing.get_context("spawn").Process(
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
    """Answers each `True` with the seconds of a call and its parts, and `False` with the memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command's own process ends this one
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # and what this one has started
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # what TensorFlow logs would tear the progress bar
    tempfile.tempdir = scratch  # cleaned by the command, whatever becomes of this process
    try:
        case = pickle.loads(pickled_case)
        baseline = _start_tensorflow(device)
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
    except Exception as error:  # whatever it is, the command says which case it was
        connection.send(f"{type(error).__name__}: {error}")


def _start_tensorflow(device: str) -> int:
    """Starts TensorFlow on the device and returns the memory that takes."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if device == "cpu":
        gpus = []
        tf.config.set_visible_devices(gpus, "GPU")
    for gpu in gpus:  # shared with the other cases' processes; all alike, or TensorFlow refuses
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.linalg.matmul(tf.ones((8, 8)), tf.ones((8, 8))).numpy()
    return _peak_bytes(device)


def _peak_bytes(device: str) -> int:
    import tensorflow as tf

    if device == "gpu":
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    # Not `resource.getrusage`, whose peak a process takes over from the one that started it.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmHWM"].split()[0]) * 1024
