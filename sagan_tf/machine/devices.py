"""Makes the distribution strategy: one or several replicas, on one or several machines."""

import collections
import contextlib
import importlib.util
import os
from collections.abc import Iterator

import tensorflow as tf

from sagan_tf.machine.cluster import Cluster, find_cluster
from sagan_tf.machine.handshake import await_workers
from sagan_tf.machine.keras_settings import check_keras_settings
from sagan_tf.machine.processors import has_gpu, num_cores
from sagan_tf.machine.team import SINGLE_PROCESS, Team


def make_strategy(
    device: str = "auto",
    num_replicas: int | None = None,
    deterministic: bool = False,
    cluster: Cluster | None = None,
    worker_timeout: float = 300,
) -> tf.distribute.Strategy:
    """Sets up TensorFlow's devices, and makes a strategy; call it before anything computes.

    Once TensorFlow has started, as in a notebook after the first tensor, its devices cannot change.
    A single replica, and replicas on all GPUs, work even then.

    Args:
        device: gpu, cpu, or auto (GPUs if there are any).
        num_replicas: number of replicas on this machine: GPUs, or logical CPU devices; `None` for
            all GPUs, or one CPU.
        deterministic: whether to use only kernels that sum in a fixed order.
        cluster: the workers, of which this process is one; it connects to them.
        worker_timeout: seconds to wait for the other workers.

    Raises:
        ValueError: for a GPU that does not exist or that TensorFlow does not see, several replicas
            on a CPU worker of a cluster, workers that do not start, unsupported Keras settings, or
            devices that TensorFlow would have to change after its start.
    """
    check_keras_settings()
    gpus = _gpus(device)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    replicas = replicas_here(device, num_replicas)
    if gpus:
        if replicas > len(gpus):
            raise ValueError(f"`--num_replicas={replicas}` exceeds the {len(gpus)} GPUs here.")
        _keep_layout(gpus[:replicas])
        devices = [f"GPU:{index}" for index in range(replicas)]
        if replicas < len(gpus):  # otherwise TensorFlow would take the memory of all GPUs
            with _before_start(f"--num_replicas={replicas}"):
                tf.config.set_visible_devices(gpus[:replicas], "GPU")
    else:
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


def use_device(device: str = "auto") -> None:
    """Sets up TensorFlow's devices for work that may share a GPU with other processes.

    TensorFlow then takes memory as it needs it, instead of all memory. If TensorFlow has already
    started, its devices stay as they are.

    Args:
        device: gpu, cpu, or auto (a GPU if there is any).

    Raises:
        ValueError: for a GPU that does not exist or that TensorFlow does not see.
    """
    check_keras_settings()
    gpus = _gpus(device)
    with contextlib.suppress(RuntimeError):  # TensorFlow has started
        tf.config.set_visible_devices(gpus[:1], "GPU")
        for gpu in gpus[:1]:
            tf.config.experimental.set_memory_growth(gpu, True)


def one_thread_per_operation(device: str = "auto") -> None:
    """Lets TensorFlow compute each operation on one core of the CPU, and others on the other cores.

    Call it before anything computes; if TensorFlow has started, its threads stay as they are, as
    they do on a GPU or if the environment sets TF_NUM_INTRAOP_THREADS.

    Args:
        device: see `make_strategy`.
    """
    if not _gpus(device) and "TF_NUM_INTRAOP_THREADS" not in os.environ:
        with contextlib.suppress(RuntimeError):  # TensorFlow has started
            tf.config.threading.set_intra_op_parallelism_threads(1)


def replicas_here(device: str, num_replicas: int | None) -> int:
    """Number of replicas on this machine: as requested, else all GPUs, or one on the CPU."""
    return num_replicas or len(_gpus(device)) or 1


def in_words() -> str:
    """TensorFlow's devices as text, such as `2 x NVIDIA H100` or `CPU, 16 cores`."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return f"CPU, {num_cores()} core{'' if num_cores() == 1 else 's'}"
    names = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus
    ]
    return ", ".join(f"{count} x {name}" for name, count in collections.Counter(names).items())


def _gpus(device: str) -> list[tf.config.PhysicalDevice]:
    """The GPUs to compute on; empty for the CPU."""
    gpus = [] if device == "cpu" else tf.config.list_physical_devices("GPU")
    if not gpus and device != "cpu":
        reason = _why_no_gpu()
        # A user who empties CUDA_VISIBLE_DEVICES wants the CPU.
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
        if device == "gpu" or (has_gpu() and not hidden):
            raise ValueError(
                f"TensorFlow sees no GPU{'' if device == 'gpu' else ', though there is one here'}: "
                f"{reason}. To compute on the CPU, give `--device=cpu`. Received: "
                f"--device={device}"
            )
    return gpus


def _why_no_gpu() -> str:
    """The most likely reason why TensorFlow sees no GPU; its own messages are printed above."""
    if not has_gpu():
        return "the machine, or this container of it, shows none (/dev/nvidia0)"
    if not tf.test.is_built_with_cuda():
        return "this build of TensorFlow cannot use any; install `sagan_tf[gpu]`"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides it"
    if importlib.util.find_spec("nvidia") is None:
        return "NVIDIA's libraries are missing; install `sagan_tf[gpu]`"
    return "the driver may be too old for NVIDIA's libraries; see what TensorFlow says above"


def _keep_layout(gpus: list[tf.config.PhysicalDevice]) -> None:
    """Keeps TensorFlow from transposing feature maps for GPUs that gain nothing by it.

    For float32 it puts channels before space, which older GPUs prefer. On an H200 the training step
    at 128 pixels takes 9 % less time without (`python -m tests.by_hand.gpu_speed`).
    """
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    if all(gpu.get("compute_capability", (0, 0)) >= (8, 0) for gpu in details):  # from Ampere on
        tf.config.optimizer.set_experimental_options({"layout_optimizer": False})


def _use_cpu(replicas: int) -> None:
    """Hides GPUs and makes logical CPU devices, or checks them if TensorFlow has started."""
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
    """Explains the error if TensorFlow refuses to change devices because it has started."""
    try:
        yield
    except RuntimeError:
        raise _too_late(what) from None


def _too_late(what: str) -> ValueError:
    return ValueError(
        f"`{what}` must come before TensorFlow is used in this process: its devices cannot change "
        "any more. Restart the notebook's kernel and call this first, leave the setting out, or "
        "run the command in a terminal."
    )


def _connected_strategy(cluster: Cluster, gpus: int) -> tf.distribute.Strategy:
    # By default TensorFlow sends even gradients between the GPUs of one machine by gRPC.
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


def make_team(device: str = "auto") -> Team:
    """Connects to the workers that the environment describes, if any, for work without training.

    Args:
        device: see `use_device`.

    Raises:
        ValueError: see `make_strategy`.
    """
    cluster = find_cluster()
    if cluster:
        return Team(make_strategy(device, cluster=cluster), cluster)
    use_device(device)
    return SINGLE_PROCESS
