"""Checks whether training fits into the available memory, and says what would fit."""

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow.python.client import device_lib

# Files of cgroups version 2 and 1 with the limit and the memory used, and the entry of
# `memory.stat` for memory that the kernel can reclaim (cached files).
_CGROUPS = {
    "cgroup": ("memory.max", "memory.current", "inactive_file"),
    "cgroup/memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}

# Out-of-memory messages of NVIDIA's libraries (cuBLAS, cuDNN, NCCL) and drivers.
_SAYS_MEMORY = re.compile(
    r"out of memory|ALLOC_FAILED|OUT_OF_MEMORY|failed to allocate|unable to allocate", re.IGNORECASE
)


def available_bytes(replicas: int) -> int | None:
    """Memory available to a replica: a GPU's, or its share of this machine's or container's.

    Returns:
        Bytes; `None` if the system does not report it.
    """
    if tf.config.list_logical_devices("GPU"):
        # Only here does TensorFlow report how much memory it took of each GPU. The list is limited
        # to visible GPUs, as TensorFlow would take the memory of the others, too.
        used = [gpu.name.rpartition(":")[2] for gpu in tf.config.get_visible_devices("GPU")]
        options = tf.compat.v1.GPUOptions(visible_device_list=",".join(used))
        devices = device_lib.list_local_devices(tf.compat.v1.ConfigProto(gpu_options=options))
        return min(device.memory_limit for device in devices if device.device_type == "GPU")
    left = _left_on_host(Path("/"))
    return None if left is None else left // replicas


def check(needed: Callable[[int], int], batch_size: int, parts: int, available: int | None) -> None:
    """Raises `ValueError` if training needs more than is available.

    Args:
        needed: function from the number of images in a part to the memory in bytes that a replica
            needs.
        batch_size: images per update on one replica.
        parts: number of parts that each update's batch is split into.
        available: bytes available to a replica, or `None` if unknown.
    """
    if available is not None and needed(batch_size // parts) > available:
        raise ValueError(complaint(needed, batch_size, parts, available))


def complaint(
    needed: Callable[[int], int], batch_size: int, parts: int, available: int | None
) -> str:
    """A message on missing memory: how much is needed, and which flags would need less.

    The arguments are those of `check`.
    """
    size = batch_size // parts
    total = needed(size)
    # If training ran out of memory although the estimate fits, only a smaller part can fit.
    limit = total if available is None else min(available, total)
    fitting = [
        smaller for smaller in _divisors(batch_size) if smaller < size and needed(smaller) <= limit
    ]
    lines = [
        f"Training needs about {_gib(total)} of memory per replica at {size} images. "
        f"Received: {'too little' if available is None else _gib(available)}."
    ]
    if fitting:
        lines.append(
            f"{max(fitting)} images per replica would fit. `--gradient_accumulation="
            f"{batch_size // max(fitting)}` takes each batch in parts of that size, which needs "
            "less than the whole batch, but more than such a batch alone."
        )
    else:
        lines.append("No smaller batch would fit.")
    lines.append(
        "Less is also needed with a smaller `--image_size`, fewer `--base_filters` or "
        "`--dtype_policy=mixed_bfloat16`."
    )
    if tf.config.get_visible_devices("GPU"):
        lines.append(
            "If another program holds the GPU's memory: several runs share a GPU where "
            "`TF_FORCE_GPU_ALLOW_GROWTH=true` is in the environment of each."
        )
    return " ".join(lines)


@contextlib.contextmanager
def explained(message: Callable[[], str]) -> Iterator[None]:
    """Raises an out-of-memory error as a `ValueError` with the text of `message()`."""
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise ValueError(message()) from error
    except (tf.errors.InternalError, tf.errors.UnknownError) as error:
        if _SAYS_MEMORY.search(error.message):
            raise ValueError(message()) from error
        raise


def _divisors(number: int) -> set[int]:
    small = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    return {*small, *(number // n for n in small)}


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _left_on_host(root: Path) -> int | None:
    """The smallest memory left by the kernel and by every control group of this process."""
    left = list(_left_in_cgroups(root))
    with contextlib.suppress(OSError):
        lines = (root / "proc/meminfo").read_text().splitlines()
        figures = dict(line.split(":") for line in lines)
        left.append(int(figures["MemAvailable"].split()[0]) * 1024)
    return min(left, default=None)


def _left_in_cgroups(root: Path) -> Iterator[int]:
    for mount, (limit, used, reclaimable) in _CGROUPS.items():
        top = root / "sys/fs" / mount
        group = top / _cgroup_of_process(root, mount)
        # In a container the path may be the host's, while the container's own group is the top.
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            with contextlib.suppress(OSError, ValueError):  # no such group, or "max"
                statistics = dict(
                    line.split() for line in (folder / "memory.stat").read_text().splitlines()
                )
                taken = int((folder / used).read_text()) - int(statistics.get(reclaimable, 0))
                yield max(0, int((folder / limit).read_text()) - taken)


def _cgroup_of_process(root: Path, mount: str) -> str:
    controller = mount.partition("/")[2]
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                return path.lstrip("/")
    return ""
