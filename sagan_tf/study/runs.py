"""Trains a plan's runs, each in a process of its own, and waits for them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sagan_tf.study.plans import Run
from sagan_tf.training.stopping import StopSignal

_METRICS = "metrics.jsonl"
# Of the log, what is shown when a run fails.
_LAST_LINES = 5


def run_folder(out: Path, run: Run) -> Path:
    """A run's workdir within the study's folder."""
    return out / "runs" / run.name


def is_trained(run: Run, workdir: Path) -> bool:
    """Whether the run's last checkpoint is there."""
    return (workdir / "checkpoints" / f"step-{run.flags['steps']}.index").exists()


def call(
    module: str,
    flags: list[str],
    log: Path,
    stop: StopSignal,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Runs `python -m sagan_tf.<module>`, its output added to a file.

    Args:
        module: the command.
        flags: what it is told.
        log: the file.
        stop: passed on to the process, which saves and ends.
        watch: called about twice a second.

    Raises:
        Stopped: if a signal came.
        ValueError: if the command failed; with its last words.
    """
    with log.open("a") as file:
        # Of a session of its own: Ctrl-C reaches it through us, once.
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
    except (OSError, IndexError, ValueError):  # not begun, or a line is being written
        return 0
