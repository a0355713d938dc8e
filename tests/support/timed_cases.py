"""What tests/test_benchmark.py times: a process of its own must find it by name."""

import time

import numpy as np


def prepare_sleep(seconds, work):
    return lambda: time.sleep(seconds), work


def prepare_memory(mebibytes):
    return lambda: np.ones((mebibytes, 2**20), "uint8").sum(), 1


def prepare_failure():
    raise RuntimeError("no such device")


def prepare_exit():
    raise SystemExit(3)
