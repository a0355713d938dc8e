"""Runs commands of this package in processes of their own, and waits for them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sagan_tf.study.plans import Run
from sagan_tf.training.stopping import StopSignal

_METRICS = "metrics.jsonl"
# Number of last lines of the log to show when a run fails.
_LAST_LINES = 5


def run_folder(out: Path, run: Run) -> Path:
    """A run's workdir within the study's folder."""
    return out / "runs" / run.name


def is_trained(run: Run, workdir: Path) -> bool:
    """Whether the run's last checkpoint exists."""
    return (workdir / "checkpoints" / f"step-{run.flags['steps']}.index").exists()


def call(
    module: str,
    flags: list[str],
    log: Path,
    stop: StopSignal,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Runs `python -m sagan_tf.<module>`, and appends its output to a log file.

    Args:
        module: name of the command.
        flags: its command-line flags.
        log: path of the log file.
        stop: signals to pass on to the process, which then saves and ends.
        watch: function to call about twice a second.

    Raises:
        Stopped: if a signal has arrived.
        ValueError: if the command failed; the message has the last lines of its output.
    """
    with log.open("a") as file:
        # The process has its own session, so that Ctrl-C reaches it only once, through this code.
        process = subprocess.Popen(
            [sys.executable, "-m", f"sagan_tf.{module}", *flags],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        told = False
        while process.poll() is None:
            if stop.received and not told:
                process.terminate()
                told = True
            watch()
            time.sleep(0.5)
    watch()
    stop.check()
    if process.returncode:
        last = log.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
        raise ValueError(f"`sagan_tf.{module}` failed, see {log}:\n" + "\n".join(last))


def steps_done(workdir: Path) -> int:
    """The last step that a run has logged."""
    try:
        lines = (workdir / _METRICS).read_text().splitlines()
        return int(json.loads(lines[-1])["step"])
    except (OSError, IndexError, ValueError):  # the run has not begun, or is writing a line
        return 0
