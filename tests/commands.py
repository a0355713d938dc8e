"""Runs the package's commands as a user would, in a process of their own, and compares runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from sagan_tf import checkpoint

TINY = (
    "--image_size=16 --base_filters=4 --query_key_ratio=4 --latent_dim=8 --global_batch_size=8 "
    "--attention_resolutions=8 --log_every=5 --sample_every=10 --checkpoint_every=5 "
    "--steps_per_call=5"
).split()
ROOT = Path(__file__).parent.parent


def start(name, *arguments):
    """A running `python -m sagan_tf.<name>`, output piped as text."""
    return subprocess.Popen(
        [sys.executable, "-m", f"sagan_tf.{name}", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "NO_GCE_CHECK": "true"},
        cwd=ROOT,
    )


def run(name, *arguments):
    """Runs a command that must succeed and returns what it printed."""
    process = start(name, *arguments)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]
    return output


def fail(name, *arguments):
    """Runs a command that must fail without a traceback and returns its error message."""
    return failed(start(name, *arguments))


def failed(process):
    """Waits for a command that must fail without a traceback and returns its error message."""
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 1, errors[-3000:]
    assert "Traceback" not in errors, errors[-3000:]
    return errors


def wait_until(process, condition):
    """Waits until `condition()` holds while a command goes on."""
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.001)


def stop_when(process, condition, number=signal.SIGTERM):
    """Sends a signal as soon as `condition()` holds; returns exit code, output and errors."""
    wait_until(process, condition)
    process.send_signal(number)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def variables(workdir):
    """Every variable of the newest checkpoint, by name."""
    return checkpoint._read_variables(workdir / "checkpoints")


def assert_same_run(workdir, other):
    """Every variable of the newest checkpoints is equal, bit by bit."""
    left, right = variables(workdir), variables(other)
    assert left.keys() == right.keys()
    for name, value in left.items():
        if name != "settings":
            np.testing.assert_array_equal(value, right[name], err_msg=name)
