"""The workers of a run, as the environment describes them.

TensorFlow calls the processes workers, and the first of them the chief. All of them run the same
command and compute the same steps; only the chief writes files.
"""

import dataclasses
import json
import os
from collections.abc import Mapping

import tensorflow as tf

# First port of workers in SLURM jobs: below the ports that Linux uses for outgoing connections.
_SLURM_PORTS = 12000


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run, and which of them this process is.

    Attributes:
        jobs: addresses `host:port` by job, "chief" (at most one) and "worker".
        job: this process's job.
        task: this process's index among the job's addresses.
    """

    jobs: Mapping[str, tuple[str, ...]]
    job: str
    task: int

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses of all workers, the chief's first."""
        return self.jobs.get("chief", ()) + self.jobs.get("worker", ())

    @property
    def index(self) -> int:
        """This process's index among `addresses`."""
        return self.task + (len(self.jobs.get("chief", ())) if self.job == "worker" else 0)

    def resolver(self, gpus: int) -> tf.distribute.cluster_resolver.ClusterResolver:
        """The cluster as a resolver for TensorFlow's strategies.

        Args:
            gpus: number of GPUs of this worker, which strategies do not count for this resolver.
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
    """The cluster that the environment describes; `None` for a single process.

    TensorFlow's variable `TF_CONFIG` comes first; without it, a SLURM step with several tasks makes
    a cluster.

    Raises:
        ValueError: for an invalid description.
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
        # SLURM itself assigns the GPUs. The resolver requires these numbers, but assigns no GPU.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=port,
            gpus_per_node=int(os.environ["SLURM_STEP_NUM_TASKS"]),
            gpus_per_task=1,
            auto_set_gpu=False,
        )
        addresses = tuple(resolver.cluster_spec().as_dict()["worker"])
        # SLURM_PROCID cannot be the index: the resolver sorts nodes by name, with n10 before n2.
        return Cluster({"worker": addresses}, "worker", addresses.index(own))
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(
            "The variables of this SLURM step do not describe its workers; start them by `srun`, "
            f"or describe them by `TF_CONFIG`. Received: {error!r}"
        ) from error
