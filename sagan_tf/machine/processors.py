"""Counts the processor cores that this process may use, and finds NVIDIA GPUs."""

import glob
import os

# Device files that exist with NVIDIA's kernel driver.
GPU_FILES = "/dev/nvidia[0-9]*"


def num_cores() -> int:
    """Number of cores that a scheduler or `taskset` lets this process use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_gpu() -> bool:
    """Whether the machine has an NVIDIA GPU, even if TensorFlow cannot use it."""
    return bool(glob.glob(GPU_FILES))
