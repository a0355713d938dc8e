"""Collective operations of a run's processes, and the detection of lost workers."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import keras
import numpy as np
import tensorflow as tf

import sagan_tf
from sagan_tf.machine.cluster import Cluster

_Item = TypeVar("_Item")
_TASK = re.compile(r"/job:(\w+)(?:/replica:\d+)?/task:(\d+)")
# Exceptions that TensorFlow raises when a worker that it waits for is lost.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)


def code_facts() -> dict[str, str]:
    """Facts that must be the same for all workers, besides the settings: code and versions."""
    digest = hashlib.sha256()
    package = Path(sagan_tf.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    return {
        "code of sagan_tf": digest.hexdigest()[:16],
        "version of TensorFlow": tf.__version__,
        "version of Keras": keras.__version__,
    }


class Team:
    """The processes that work on one run, often only one, and their collective operations.

    All processes must call each method that exchanges something, in the same order.

    Args:
        strategy: the run's strategy, whose collective operations transmit the messages.
        cluster: the workers, see `find_cluster`; `None` for a single process.

    Attributes:
        size: number of processes.
        index: index of this process.
        is_chief: whether this process is the chief, which writes files.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy | None = None, cluster: Cluster | None = None
    ) -> None:
        self._strategy = tf.distribute.get_strategy() if strategy is None else strategy
        self._jobs = cluster.jobs if cluster else {}
        self._addresses = cluster.addresses if cluster else ("",)
        self.size = len(self._addresses)
        self.index = cluster.index if cluster else 0
        self.is_chief = self.index == 0

    def all_gather(self, text: str) -> list[str]:
        """Returns the texts of all processes, in order."""
        if self.size == 1:
            return [text]
        message = np.frombuffer(text.encode(), np.uint8)
        lengths = [int(length) for (length,) in self._gathered([message.size])]
        padded = np.zeros(max(lengths), np.uint8)
        padded[: message.size] = message
        messages = self._gathered(padded)
        return [
            bytes(message[:length].astype(np.uint8)).decode()
            for message, length in zip(messages, lengths, strict=True)
        ]

    def broadcast(self, text: str) -> str:
        """Returns the chief's text."""
        return self.all_gather(text)[0]

    def barrier(self) -> None:
        """Blocks until all processes have reached it."""
        self.all_gather("")

    def all_reduce_max(self, number: int) -> int:
        """Returns the largest of the processes' numbers."""
        return max(int(text) for text in self.all_gather(str(number)))

    @overload
    def shard(self, items: range, index: int | None = None) -> range: ...

    @overload
    def shard(self, items: Sequence[_Item], index: int | None = None) -> Sequence[_Item]: ...

    def shard(self, items: Sequence[Any], index: int | None = None) -> Sequence[Any]:
        """Returns a worker's part of items, by default this one's; sizes differ by at most one."""
        index = self.index if index is None else index
        first, last = (len(items) * i // self.size for i in (index, index + 1))
        return items[first:last]

    @contextlib.contextmanager
    def chief_first(self) -> Iterator[None]:
        """Lets the other workers enter after the chief has left, to use what it has prepared."""
        if not self.is_chief:
            self.barrier()
        yield
        if self.is_chief:
            self.barrier()

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Checks that all processes have the same facts.

        Raises:
            ValueError: if not; the message has the first fact that differs, and the workers that
                differ from the chief.
        """
        everybody = [json.loads(text) for text in self.all_gather(json.dumps(facts))]
        for name, fact in everybody[0].items():
            others = {
                self._addresses[index]: said.get(name)
                for index, said in enumerate(everybody)
                if said.get(name) != fact
            }
            if others:
                address, other = next(iter(others.items()))
                raise ValueError(
                    f"All workers must have the same {name}. Received: {fact} from the chief, "
                    f"{other} from {address}" + (f" and {len(others) - 1} more" * (len(others) > 1))
                )

    def agree_on_weights(self, variables: Mapping[str, Any]) -> None:
        """Checks that all processes have the same values of variables.

        Raises:
            ValueError: if not.
        """
        if self.size > 1:
            digest = hashlib.sha256()
            for name in sorted(variables):
                digest.update(tf.convert_to_tensor(variables[name]).numpy().tobytes())
            self.agree({"weights after restoring": digest.hexdigest()[:16]})

    @contextlib.contextmanager
    def complete(self) -> Iterator[None]:
        """Keeps the workers together until the end, and reports in one message if one is lost.

        A worker that ends closes its connections, from which another worker may still be reading
        the last message. So there are two barriers at the end. A worker that has passed the first
        one knows that all have done their work, and none passes the second one while another is
        still in the first. The second barrier may fail if another worker has already ended, and
        nothing depends on it.

        Raises:
            ValueError: if a worker is lost, which is noticed within half a minute.
        """
        try:
            yield
            self.barrier()
        except _LOST as error:
            if self.size == 1:
                raise
            raise ValueError(
                f"{self._lost(str(error))} was lost: its process or machine ended, or cannot be "
                "reached. Look there for the cause, then give the same command to all workers "
                "again: training goes on from its newest checkpoint."
            ) from error
        with contextlib.suppress(*_LOST):
            self.barrier()

    def _gathered(self, numbers: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """The numbers of all workers, in order; all workers must give equally many."""
        # Each row starts with its worker's index, as TensorFlow sorts task 10 before task 2.
        own = np.concatenate([[self.index], numbers]).astype(np.float32)
        by_index = {int(row[0]): row[1:] for row in self._exchange(own[np.newaxis]).numpy()}
        return [by_index[index] for index in range(self.size)]

    # Every device and every kind of communication supports floats.
    @tf.function(input_signature=[tf.TensorSpec([1, None], tf.float32)])
    def _exchange(self, row: tf.Tensor) -> tf.Tensor:
        """The rows of all replicas."""

        def gather() -> tf.Tensor:
            own = tf.identity(row)  # on the replica's device
            return tf.distribute.get_replica_context().all_gather(own, axis=0)

        return self._strategy.experimental_local_results(self._strategy.run(gather))[0]

    def _lost(self, error: str) -> str:
        jobs = self._jobs
        named = [(job, int(task)) for job, task in _TASK.findall(error)]
        addresses = {jobs[job][task] for job, task in named if task < len(jobs.get(job, ()))}
        addresses.discard(self._addresses[self.index])
        return f"Worker {', '.join(sorted(addresses))}" if addresses else "Another worker"


SINGLE_PROCESS = Team()
