"""Runs the package's commands as a user would, in a process of their own, and compares runs."""

import atexit
import concurrent.futures
import multiprocessing
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from sagan_tf.run import checkpoint

TINY = (
    "--image_size=16 --base_filters=4 --query_key_ratio=4 --latent_dim=8 --global_batch_size=8 "
    "--d_steps=1 --attention_resolutions=8 --log_every=5 --sample_every=10 --checkpoint_every=5 "
    "--steps_per_call=5"
).split()
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "NO_GCE_CHECK": "true"}


# Importing TensorFlow takes longer than most commands do: they are forked from a process that has.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tensorflow", "keras"])


@atexit.register
def kill_all():
    """Kills what failed tests have left; multiprocessing would wait for its end at exit."""
    for process in multiprocessing.active_children():
        process.kill()


class Command:
    """A running command, with what `subprocess.Popen` would have for it."""

    def __init__(self, name, arguments, environment):
        self.stdout, outputs = pipe()
        self.stderr, errors = pipe()
        self._process = FORKS.Process(
            target=run_module, args=(name, arguments, environment, outputs, errors)
        )
        with outputs, errors:  # the child has its own
            self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def terminate(self):
        self._process.terminate()

    def communicate(self, timeout=300):
        with concurrent.futures.ThreadPoolExecutor() as readers:
            texts = [readers.submit(file.read) for file in (self.stdout, self.stderr)]
            self._process.join(timeout)
            if self._process.exitcode is None:
                self._process.kill()
                raise TimeoutError(f"The command went on for more than {timeout} seconds.")
        self.stdout.close()
        self.stderr.close()
        return tuple(text.result() for text in texts)


def pipe():
    """Its end to read, as a file of text, and its end to write, which can be sent to a process."""
    read, write = FORKS.Pipe(duplex=False)
    return open(os.dup(read.fileno())), write


def run_module(name, arguments, environment, outputs, errors):
    """What a forked process does to be `python -m sagan_tf.<name>`."""
    for connection, number in ((outputs, 1), (errors, 2)):
        os.dup2(connection.fileno(), number)
        connection.close()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    # What runs for a few steps takes longer to optimise than to run unoptimised.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    sys.argv = [name, *map(str, arguments)]
    runpy.run_module(f"sagan_tf.{name}", run_name="__main__", alter_sys=True)


def start(name, *arguments, **environment):
    """A running `python -m sagan_tf.<name>`, output piped as text.

    Args:
        name: the command's.
        *arguments: its flags and words.
        **environment: variables beside those of now.
    """
    return Command(name, arguments, os.environ | ENVIRONMENT | environment)


def start_anew(name, *arguments):
    """The same from the very beginning, for tests of how commands begin and what they import."""
    return subprocess.Popen(
        [sys.executable, "-m", f"sagan_tf.{name}", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRONMENT,
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


def read_until(process, pattern):
    """Reads what a command prints up to a line that matches; returns the lines and the match."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if match := re.match(pattern, line):
            return lines, match
    raise AssertionError(f"No {pattern}: {lines}, {process.communicate()[1][-3000:]}")


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


def without_tensorflow(folder, backend):
    """The environment of a process of another Keras backend that cannot import TensorFlow."""
    missing = folder / "missing"
    missing.mkdir(exist_ok=True)
    (missing / "tensorflow.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'tensorflow'\", name='tensorflow')\n"
    )
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (missing, ROOT))),
        "KERAS_BACKEND": backend,
        "CUDA_VISIBLE_DEVICES": "",
        # PyTorch's threads wait for one another in busy loops: slow where tests share the cores.
        "OMP_NUM_THREADS": "1",
    }


def variables(workdir):
    """Every variable of the newest checkpoint, by name."""
    return checkpoint.read_variables(workdir / "checkpoints")


def assert_same_run(workdir, other):
    """Every variable of the newest checkpoints is equal, bit by bit."""
    left, right = variables(workdir), variables(other)
    assert left.keys() == right.keys()
    for name, value in left.items():
        if name != "settings":
            np.testing.assert_array_equal(value, right[name], err_msg=name)
