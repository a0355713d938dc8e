"""Trains on a disk that is too small, read-only, and full, and goes on when there is room.

    python -m tests.by_hand.small_disk

The disk is a file system in memory that only this process sees: Linux with user namespaces.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.by_hand import kills
from tests.support import commands


def mount(directory, options):
    """Mounts a file system in memory, or changes it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)


def fill_and_go_on(disk, whole):
    """Takes a run through the faults of a disk, and compares it with one on another disk."""
    arguments = ["--steps=20", *commands.TINY]
    workdir = f"--workdir={disk / 'run'}"

    mount(disk, "size=300k")
    assert "Two checkpoints need" in commands.fail("train", workdir, *arguments)
    mount(disk, "remount,ro")
    assert "Read-only file system" in commands.fail("train", workdir, *arguments)
    # Room for the first checkpoints, not for all that a run keeps.
    mount(disk, "remount,rw,size=800k")
    errors = commands.fail("train", workdir, *arguments)
    assert "No space left on device" in errors
    assert not kills.half_written(disk / "run" / "checkpoints")
    print(errors.splitlines()[-1])
    mount(disk, "remount,size=8m")
    assert "resumed at step" in commands.run("train", workdir, *arguments)
    commands.run("train", f"--workdir={whole}", *arguments)
    commands.assert_same_run(disk / "run", whole)
    print("too small, read-only, full, and on again: every variable is bitwise equal")


def main():
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder) / "disk"
        disk.mkdir()
        try:
            fill_and_go_on(disk, Path(folder) / "whole")
        finally:
            subprocess.run(["umount", disk], check=True)


if __name__ == "__main__":
    if os.environ.get("OWN_MOUNTS"):
        main()
    else:
        os.environ["OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "-rm", sys.executable, *sys.argv])
