"""The workers of a run, as the environment describes them.

TensorFlow calls the processes workers, and the first of them the chief. All of them run the same
command and compute the same steps; the chief alone writes.
"""

import dataclasses
import json
import os
from collections.abc import Mapping

import tensorflow as tf

# Workers of SLURM jobs listen from here on: below what Linux gives to outgoing connections.
_SLURM_PORTS = 12000


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
