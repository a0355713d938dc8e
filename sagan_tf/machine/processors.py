"""The processors that this process may use."""

import glob
import os

# What the kernel shows where it has NVIDIA's driver.
GPU_FILES = "/dev/nvidia[0-9]*"


def num_cores() -> int:
    """How many; those that a scheduler or `taskset` gives others do not count."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_gpu() -> bool:
    """Whether the machine shows an NVIDIA GPU, whatever TensorFlow makes of it."""
    return bool(glob.glob(GPU_FILES))
