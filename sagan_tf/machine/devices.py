"""Where a run computes: one strategy for one or several replicas, on one or several machines."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from sagan_tf.machine.cluster import Cluster, find_cluster
from sagan_tf.machine.handshake import await_workers
from sagan_tf.machine.keras_settings import check_keras_settings
from sagan_tf.machine.team import SINGLE_PROCESS, Team


def make_strategy(
    device: str = "auto",
    num_replicas: int | None = None,
    deterministic: bool = False,
    cluster: Cluster | None = None,
    worker_timeout: float = 300,
) -> tf.distribute.Strategy:
    """Sets TensorFlow's devices up; call it before anything computes where that is possible.

    Where TensorFlow has started, as in a notebook after the first tensor, its devices stay as
    they are. One replica and all replicas on GPUs work there, too.

    Args:
        device: gpu, cpu, or auto: GPUs if there are any.
        num_replicas: of this machine: GPUs, or logical CPU devices; `None` for all GPUs, or one
            CPU.
        deterministic: forbid kernels whose sums have no fixed order.
        cluster: the workers of which this process is one, and to which it connects.
        worker_timeout: seconds that it waits for them.

    Raises:
        ValueError: for a GPU that is not there, several replicas on the CPU of a cluster's
            worker, workers that do not come up, settings of Keras that do not work here, or
            devices that TensorFlow would have to change after its start.
    """
    check_keras_settings()
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise ValueError(
            "`--device=gpu` was given but TensorFlow sees no GPU. Install `sagan_tf[gpu]` and a "
            "driver, or leave --device away."
        )
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if device != "cpu" and gpus:
        replicas = num_replicas or len(gpus)
        if replicas > len(gpus):
            raise ValueError(f"`--num_replicas={replicas}` exceeds the {len(gpus)} GPUs here.")
        devices = [f"GPU:{index}" for index in range(replicas)]
        if cluster:  # whose strategy takes the first that it sees
            with _before_start(f"--num_replicas={replicas}"):
                tf.config.set_visible_devices(gpus[:replicas], "GPU")
    else:
        replicas = num_replicas or 1
        if cluster and replicas > 1:
            raise ValueError(
                "`--num_replicas` must be 1 on the CPU of each of several workers; start more "
                f"workers instead. Received: {replicas}"
            )
        _use_cpu(replicas)
        devices = [f"CPU:{index}" for index in range(replicas)]
    if cluster:
        await_workers(cluster, replicas, worker_timeout)
        return _connected_strategy(cluster, replicas if devices[0].startswith("GPU") else 0)
    if replicas == 1:
        return tf.distribute.get_strategy()
    # Collective operations gain nothing between CPU devices that share their memory.
    reduction = None if devices[0].startswith("GPU") else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)


def _use_cpu(replicas: int) -> None:
    """Makes so many devices of the CPU, and hides GPUs; as far as needed if it is too late."""
    with _before_start("--device=cpu beside GPUs"):
        tf.config.set_visible_devices([], "GPU")
    cpu = tf.config.list_physical_devices("CPU")[0]
    configurations = [tf.config.LogicalDeviceConfiguration()] * replicas
    try:
        tf.config.set_logical_device_configuration(cpu, configurations)
    except RuntimeError:  # TensorFlow has started
        if len(tf.config.list_logical_devices("CPU")) < replicas:
            raise _too_late(f"--num_replicas={replicas} on the CPU") from None


@contextlib.contextmanager
def _before_start(what: str) -> Iterator[None]:
    """Says what to do where TensorFlow refuses to change devices, as it has started."""
    try:
        yield
    except RuntimeError:
        raise _too_late(what) from None


def _too_late(what: str) -> ValueError:
    return ValueError(
        f"`{what}` must come before TensorFlow is used in this process: its devices cannot change "
        "any more. Restart the notebook's kernel and call this first, leave the setting away, or "
        "run the command in a terminal."
    )


def _connected_strategy(cluster: Cluster, gpus: int) -> tf.distribute.Strategy:
    # What TensorFlow takes by itself sends even gradients between a machine's GPUs by gRPC.
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds.NCCL if gpus else kinds.AUTO
    )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster.resolver(gpus), options)
    except tf.errors.OpError as error:
        raise ValueError(
            f"The {len(cluster.addresses)} workers could not connect: {error.message}. If one "
            "ended meanwhile, look there for the cause; then start all again."
        ) from error
    assert strategy.num_replicas_in_sync == len(cluster.addresses) * max(1, gpus)
    return strategy


def make_team() -> Team:
    """Connects to the workers that the environment names, if any, for work without training.

    Raises:
        ValueError: see `make_strategy`.
    """
    cluster = find_cluster()
    return Team(make_strategy(cluster=cluster), cluster) if cluster else SINGLE_PROCESS
