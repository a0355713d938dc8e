"""Kills training at random moments and checks that it ends as if it had never been interrupted.

python -m tests.by_hand.kills --kills=20
"""

import argparse
import itertools
import signal
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.support import commands

# With a checkpoint after every step, a kill costs little and saves take much of the time.
OFTEN = ("--checkpoint_every=1", "--steps_per_call=1")
MOMENTS = ("save", "steps", "start")


def survive(workdir, kills, steps, seed=0):
    """Trains to `steps` through so many kills, in turn in a save, between saves and at the start.

    Returns:
        How many of them left a half-written checkpoint.
    """
    rng = np.random.default_rng(seed)
    arguments = ["train", f"--workdir={workdir}", f"--steps={steps}", *commands.TINY]
    halves = done = 0
    moments = itertools.cycle(MOMENTS)
    while done < kills or not halves:
        process = commands.start(*arguments, *OFTEN)
        condition = _moment(next(moments), workdir / "checkpoints", rng)
        code, *_ = commands.stop_when(process, condition, signal.SIGKILL)
        assert code == -signal.SIGKILL
        done += 1
        halves += bool(half_written(workdir / "checkpoints"))
    commands.run(*arguments)
    assert not half_written(workdir / "checkpoints")
    return halves


def half_written(directory):
    """Files of checkpoints that are not whole."""
    whole = {path.stem for path in directory.glob("step-*.index")}
    return [path for path in directory.glob("*") if path.stem not in whole]


def _moment(kind, directory, rng):
    """A condition that comes true at a random moment."""
    if kind == "start":
        end = time.monotonic() + rng.uniform(0.5, 10)
        return lambda: time.monotonic() > end
    newest = _newest(directory) + rng.integers(1, 4)
    if kind == "save":
        return lambda: _newest(directory) >= newest - 1 and half_written(directory)
    delay = rng.uniform(0, 0.05)
    return lambda: _newest(directory) >= newest and not time.sleep(delay)


def _newest(directory):
    return max((int(path.stem[5:]) for path in directory.glob("step-*.index")), default=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    steps = 10 * given.kills
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        commands.run("train", f"--workdir={whole}", f"--steps={steps}", *commands.TINY)
        halves = survive(killed, given.kills, steps, given.seed)
        commands.assert_same_run(killed, whole)
    print(f"{given.kills} kills, {halves} within a save: every variable is bitwise equal")
