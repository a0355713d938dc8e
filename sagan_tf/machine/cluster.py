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

# Workers of SLURM jobs listen from here on: below what Linux gives to outgoing connections.
_SLURM_PORTS = 12000
# Of a worker that says who it is, in bytes: thousands of addresses.
_LONGEST_ANSWER = 2**20
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

    def resolver(self, gpus: int) -> tf.distribute.cluster_resolver.ClusterResolver:
        """The same, as TensorFlow's strategies want it.

        Args:
            gpus: of this worker; a strategy counts them for some resolvers alone.
        """
        spec = tf.train.ClusterSpec({job: list(hosts) for job, hosts in self.jobs.items()})
        return tf.distribute.cluster_resolver.SimpleClusterResolver(
            spec,
            task_type=self.job,
            task_id=self.task,
            num_accelerators={"GPU": gpus},
            rpc_layer="grpc",
        )


def find_cluster() -> Cluster | None:
    """The cluster that the environment describes; `None` if this process is alone.

    `TF_CONFIG` is TensorFlow's own variable; without it, a SLURM step of several tasks makes a
    cluster.

    Raises:
        ValueError: for a description that is damaged.
    """
    if os.environ.get("TF_CONFIG", "").strip():
        cluster = _from_tf_config(os.environ["TF_CONFIG"])
    elif os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        cluster = _from_slurm()
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


def _from_slurm() -> Cluster:
    try:
        # Jobs that share a node rarely share a port.
        port = _SLURM_PORTS + 16 * (int(os.environ["SLURM_JOB_ID"]) % 1000)
        own = f"{os.environ['SLURMD_NODENAME']}:{port + int(os.environ['SLURM_LOCALID'])}"
        # SLURM itself hands out the GPUs, and the resolver, which must be given numbers, none.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=port,
            gpus_per_node=int(os.environ["SLURM_STEP_NUM_TASKS"]),
            gpus_per_task=1,
            auto_set_gpu=False,
        )
        addresses = tuple(resolver.cluster_spec().as_dict()["worker"])
        # Not by SLURM_PROCID: the resolver sorts the nodes by name, so that n10 comes before n2.
        return Cluster({"worker": addresses}, "worker", addresses.index(own))
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(
            "The variables of this SLURM step do not describe its workers; start them by `srun`, "
            f"or describe them by `TF_CONFIG`. Received: {error!r}"
        ) from error


def await_workers(cluster: Cluster, replicas: int, seconds: float) -> None:
    """Waits until all workers know that all are there.

    TensorFlow, told to connect, waits for missing workers for ever and cannot be interrupted.

    Args:
        cluster: whose.
        replicas: of this worker; all must have as many.
        seconds: to wait.

    Raises:
        ValueError: if some are not there in time, this process's port is taken, or another
            worker has another cluster, place or number of replicas.
    """
    own = cluster.addresses[cluster.index]
    others = {i: address for i, address in enumerate(cluster.addresses) if address != own}
    facts = {"cluster": list(cluster.addresses), "replicas": replicas}
    here = {**facts, "index": cluster.index, "knows all": False}
    knows_all: dict[str, bool] = {}
    with _answering(own, here):
        deadline = time.monotonic() + seconds
        said = time.monotonic()
        while not (here["knows all"] and all(knows_all.values())):
            for index, address in others.items():
                answer = _asked(address)
                if answer is not None:
                    _check_answer(address, answer, {**facts, "index": index})
                    knows_all[address] = answer["knows all"]
                elif address in knows_all and _listens(address):
                    # As TensorFlow: it has gone on, which it does when all know all.
                    knows_all[address] = here["knows all"]
            here["knows all"] = len(knows_all) == len(others)
            late = [address for address in others.values() if not knows_all.get(address)]
            if late and time.monotonic() > deadline:
                late = [address for address in late if address not in knows_all] or late
                raise ValueError(
                    f"{len(late)} of {len(cluster.addresses)} workers did not come up within "
                    f"{seconds:g} seconds: {', '.join(late)}. Start the same command there, or "
                    "look why it ended; training's `--worker_timeout` waits longer."
                )
            if late and time.monotonic() > said + 10:
                said = time.monotonic()
                left = deadline - said
                print(f"waiting for {', '.join(late)}, {left:.0f} seconds more", file=sys.stderr)
            time.sleep(0.1)


def _check_answer(address: str, answer: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if answer.get(name) != value:
            raise ValueError(
                f"The worker at {address} must have the {name} {value}, by this worker's "
                f"description of the cluster and its devices. Received: {answer.get(name)}"
            )


@contextlib.contextmanager
def _answering(address: str, here: dict[str, Any]) -> Iterator[None]:
    """Tells whoever connects to an address who is there, before TensorFlow's server listens."""
    port = int(address.rpartition(":")[2])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(("", port), family=family, backlog=99, dualstack_ipv6=both)
    except OSError as error:
        raise ValueError(
            f"This worker's address, {address}, cannot be listened at: {error.strerror}. End what "
            "uses that port, or name another one to all workers."
        ) from None
    with server:
        threading.Thread(target=_answer, args=(server, here), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)  # else the thread's `accept` would keep the port


def _answer(server: socket.socket, here: dict[str, Any]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # it is closed
            return
        with connection, contextlib.suppress(OSError):
            connection.sendall(json.dumps(here).encode())


def _asked(address: str) -> dict[str, Any] | None:
    """What a worker says of itself; `None` if none of ours is there."""
    try:
        with _connection(address) as connection, connection.makefile("rb") as file:
            answer = json.loads(file.read(_LONGEST_ANSWER))
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) and "knows all" in answer else None


def _listens(address: str) -> bool:
    try:
        _connection(address).close()
    except OSError:
        return False
    return True


def _connection(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=2)


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
        message = np.frombuffer(text.encode(), np.uint8)
        lengths = [int(length) for (length,) in self._gathered([message.size])]
        padded = np.zeros(max(lengths), np.uint8)
        padded[: message.size] = message
        messages = self._gathered(padded)
        return [
            bytes(message[:length].astype(np.uint8)).decode()
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

    def agree_on_weights(self, variables: Mapping[str, Any]) -> None:
        """Checks that all have the same values, by name.

        Raises:
            ValueError: if not.
        """
        if self.size > 1:
            digest = hashlib.sha256()
            for name in sorted(variables):
                digest.update(tf.convert_to_tensor(variables[name]).numpy().tobytes())
            self.agree({"weights, restored from the same files,": digest.hexdigest()[:16]})

    @contextlib.contextmanager
    def complete(self) -> Iterator[None]:
        """Keeps the workers together to the end, and says it in one message if one is lost.

        A worker that ends closes its connections, from which another may still read what was
        exchanged last. So at the end there are two barriers: who has passed the first knows that
        all have done their work, and nobody passes the second while another is in the first. The
        second may fail where another has already ended, and nothing depends on it.

        Raises:
            ValueError: if a worker is lost, which is noticed within half a minute.
        """
        try:
            yield
            self.wait()
        except _LOST as error:
            if self.size == 1:
                raise
            raise ValueError(
                f"{self._lost(str(error))} was lost: its process or machine ended, or cannot be "
                "reached. Look there for the cause, then give the same command to all workers "
                "again: a training goes on from its newest checkpoint."
            ) from error
        with contextlib.suppress(*_LOST):
            self.wait()

    def _gathered(self, numbers: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """The numbers of all workers, in order; all must give as many."""
        # Each says who it is: TensorFlow sorts workers by name, so that task 10 comes before 2.
        own = np.concatenate([[self.index], numbers]).astype(np.float32)
        by_index = {int(row[0]): row[1:] for row in self._exchange(own[np.newaxis]).numpy()}
        return [by_index[index] for index in range(self.size)]

    # Floats are what every device and kind of exchange takes.
    @tf.function(input_signature=[tf.TensorSpec([1, None], tf.float32)])
    def _exchange(self, row: tf.Tensor) -> tf.Tensor:
        """The rows of all replicas."""

        def gather() -> tf.Tensor:
            own = tf.identity(row)  # on the replica's device
            return tf.distribute.get_replica_context().all_gather(own, axis=0)

        return self._strategy.experimental_local_results(self._strategy.run(gather))[0]

    def _lost(self, error: str) -> str:
        jobs = self._cluster.jobs
        named = [(job, int(task)) for job, task in _TASK.findall(error)]
        addresses = {jobs[job][task] for job, task in named if task < len(jobs.get(job, ()))}
        addresses.discard(self._addresses[self.index])
        return f"Worker {', '.join(sorted(addresses))}" if addresses else "Another worker"


ALONE = Team()
