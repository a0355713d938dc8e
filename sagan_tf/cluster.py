"""Several machines that work on one run: who they are, and what they tell one another.

TensorFlow calls the processes workers, and the first of them the chief. All of them run the same
command and compute the same steps; the chief alone writes.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Of the processes of one machine, under SLURM: those of the next count on from here.
_SLURM_PORT = 8888
_TASK = re.compile(r"/job:(\w+)(?:/replica:\d+)?/task:(\d+)")
# What TensorFlow raises when a worker that it waits for is gone.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run, and which of them this process is.

    Attributes:
        jobs: addresses `host:port` by job, "chief" (at most one) and "worker".
        job: this process's.
        task: its number there.
    """

    jobs: Mapping[str, tuple[str, ...]]
    job: str
    task: int

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of all workers, the chief's first."""
        return self.jobs.get("chief", ()) + self.jobs.get("worker", ())

    @property
    def index(self) -> int:
        """This process's, among `addresses`."""
        return self.task + (len(self.jobs.get("chief", ())) if self.job == "worker" else 0)

    def resolver(self) -> tf.distribute.cluster_resolver.ClusterResolver:
        """The same, as TensorFlow's strategies want it."""
        spec = tf.train.ClusterSpec({job: list(hosts) for job, hosts in self.jobs.items()})
        return tf.distribute.cluster_resolver.SimpleClusterResolver(
            spec, task_type=self.job, task_id=self.task, rpc_layer="grpc"
        )


def find_cluster(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster that the environment describes; `None` if this process is alone.

    `TF_CONFIG` is TensorFlow's own variable; without it, a SLURM step of several tasks makes a
    cluster, with ports from 8888 on.

    Raises:
        ValueError: for a description that is damaged.
    """
    if environment.get("TF_CONFIG", "").strip():
        cluster = _from_tf_config(environment["TF_CONFIG"])
    elif int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        cluster = _from_slurm(environment)
    else:
        return None
    return None if cluster is None or len(cluster.addresses) == 1 else cluster


def _from_tf_config(text: str) -> Cluster | None:
    expected = (
        '`TF_CONFIG` must be JSON such as {"cluster": {"worker": ["a:8888", "b:8888"]}, "task": '
        '{"type": "worker", "index": 0}}'
    )
    try:
        config = json.loads(text)
        if not config.get("cluster"):
            return None
        jobs = {job: tuple(hosts) for job, hosts in config["cluster"].items()}
        job, task = config["task"]["type"], int(config["task"]["index"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{expected}. Received: {text[:200]} ({error!r})") from None
    if not set(jobs) <= {"chief", "worker"} or len(jobs.get("chief", ())) > 1:
        raise ValueError(
            f"{expected}; its jobs are worker and at most one chief, as no other takes part in "
            f"this training. Received: {', '.join(jobs)}"
        )
    for address in (address for hosts in jobs.values() for address in hosts):
        host, _, port = str(address).rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"{expected}, with addresses host:port. Received: {address!r}")
    if not 0 <= task < len(jobs.get(job, ())):
        raise ValueError(f"{expected}, with a task of the cluster. Received: {job} {task}")
    return Cluster(jobs, job, task)


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    tasks = int(environment["SLURM_STEP_NUM_TASKS"])
    # SLURM itself hands out the GPUs, and the resolver, which must be given numbers, none.
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=_SLURM_PORT, gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
    )
    addresses = tuple(resolver.cluster_spec().as_dict()["worker"])
    # Not by SLURM_PROCID: the resolver sorts the nodes by name, so that n10 comes before n2.
    port = _SLURM_PORT + int(environment["SLURM_LOCALID"])
    return Cluster(
        {"worker": addresses},
        "worker",
        addresses.index(f"{environment['SLURMD_NODENAME']}:{port}"),
    )


def await_workers(cluster: Cluster, seconds: float) -> None:
    """Waits until every worker listens at its address.

    TensorFlow, told to connect, waits for missing workers for ever and cannot be interrupted.

    Raises:
        ValueError: if some are not there in time, or this process's port is taken.
    """
    own = cluster.addresses[cluster.index]
    missing = [address for address in cluster.addresses if address != own]
    with _listening(own):
        deadline = time.monotonic() + seconds
        said = time.monotonic()
        while missing := [address for address in missing if not _listens(address)]:
            if time.monotonic() > deadline:
                raise ValueError(
                    f"{len(missing)} of {len(cluster.addresses)} workers did not come up within "
                    f"{seconds:g} seconds: {', '.join(missing)}. Start the same command there, or "
                    "look why it ended; `--worker_timeout` waits longer."
                )
            if time.monotonic() > said + 10:
                said = time.monotonic()
                left = deadline - said
                print(f"waiting for {', '.join(missing)}, {left:.0f} seconds more", file=sys.stderr)
            time.sleep(0.1)


@contextlib.contextmanager
def _listening(address: str) -> Iterator[None]:
    """Takes connections at an address, as TensorFlow's server will after this."""
    port = int(address.rpartition(":")[2])
    try:
        server = socket.create_server(("", port), backlog=1024)
    except OSError as error:
        raise ValueError(
            f"This worker's address, {address}, cannot be listened at: {error.strerror}. End what "
            "uses that port, or name another one to all workers."
        ) from None
    with server:
        threading.Thread(target=_take_connections, args=(server,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)  # else the thread's `accept` would keep the port


def _take_connections(server: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the server is closed
        while True:
            server.accept()[0].close()


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def code_facts() -> dict[str, str]:
    """What must be the same at all workers beside settings: this package's code, and versions."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    return {
        "code of sagan_tf": digest.hexdigest()[:16],
        "version of TensorFlow": tf.__version__,
        "version of Keras": keras.__version__,
    }


class Team:
    """The processes that work on one run, in step with each other; often but one.

    Every method that exchanges something must be called by all of them, in the same order.

    Args:
        strategy: of the run; its collective operations carry what is told.
        cluster: see `find_cluster`.

    Attributes:
        size: how many they are.
        index: which of them this process is.
        is_chief: whether it is the one that writes.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy | None = None, cluster: Cluster | None = None
    ) -> None:
        self._strategy = strategy
        self._cluster = cluster
        self._addresses = cluster.addresses if cluster else ("",)
        self.size = len(self._addresses)
        self.index = cluster.index if cluster else 0
        self.is_chief = self.index == 0

    def told(self, text: str) -> list[str]:
        """What each of them says, in order."""
        if self.size == 1:
            return [text]
        # As floats, which every device and kind of exchange takes.
        message = np.frombuffer(text.encode(), np.uint8).astype(np.float32)
        lengths = self._gathered(np.float32([[message.size]])).numpy().ravel().astype(int)
        # All of the longest one's length, and not of none, for which TensorFlow crashes.
        padded = np.zeros((1, max(1, *lengths)), np.float32)
        padded[0, : message.size] = message
        messages = self._gathered(padded).numpy().astype(np.uint8)
        return [
            bytes(message[:length]).decode()
            for message, length in zip(messages, lengths, strict=True)
        ]

    def told_by_chief(self, text: str) -> str:
        """What the chief says."""
        return self.told(text)[0]

    def wait(self) -> None:
        """Until all are here."""
        self.told("")

    def largest(self, number: int) -> int:
        """The largest of everybody's numbers."""
        return max(int(text) for text in self.told(str(number)))

    def share_of(self, items: Sequence[Any], index: int | None = None) -> Sequence[Any]:
        """A worker's part of items, by default this one's; lengths differ by one at most."""
        index = self.index if index is None else index
        first, last = (len(items) * i // self.size for i in (index, index + 1))
        return items[first:last]

    @contextlib.contextmanager
    def chief_first(self) -> Iterator[None]:
        """The others enter when the chief has left: what it has prepared is there for them."""
        if not self.is_chief:
            self.wait()
        yield
        if self.is_chief:
            self.wait()

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Checks that all say the same.

        Raises:
            ValueError: with the first fact that differs, and the workers that differ from the
                chief.
        """
        everybody = [json.loads(text) for text in self.told(json.dumps(facts))]
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

    @contextlib.contextmanager
    def complete(self) -> Iterator[None]:
        """Turns the loss of a worker, which others notice within half a minute, into a message.

        Raises:
            ValueError: instead of TensorFlow's error.
        """
        try:
            yield
        except _LOST as error:
            if self.size == 1:
                raise
            raise ValueError(
                f"{self._lost(str(error))} was lost: its process or machine ended, or cannot be "
                "reached. Look there for the cause, then give the same command to all workers "
                "again: a training goes on from its newest checkpoint."
            ) from error

    @tf.function(input_signature=[tf.TensorSpec([1, None], tf.float32)])
    def _gathered(self, row: tf.Tensor) -> tf.Tensor:
        """The rows of all workers, one below the other."""

        def gather() -> tf.Tensor:
            own = tf.identity(row)  # on the replica's device
            return tf.distribute.get_replica_context().all_gather(own, axis=0)

        rows = self._strategy.experimental_local_results(self._strategy.run(gather))[0]
        return rows[:: self._strategy.num_replicas_in_sync // self.size]

    def _lost(self, error: str) -> str:
        addresses = {self._cluster.jobs[job][int(task)] for job, task in _TASK.findall(error)}
        addresses.discard(self._addresses[self.index])
        return f"Worker {', '.join(sorted(addresses))}" if addresses else "Another worker"


ALONE = Team()
