"""Trains on a disk that is too small, read-only, and full, and goes on when there is room.

    python tests/small_disk.py

The disk is a file system in memory that only this process sees: Linux with user namespaces.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import commands


def mount(directory, options):
    """Mounts a file system in memory, or changes it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)


def main():
    with tempfile.TemporaryDirectory() as folder:
        disk, whole = Path(folder) / "disk", Path(folder) / "whole"
        disk.mkdir()
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
        assert not [path for path in disk.rglob("*") if "temp" in path.name]
        print(errors.splitlines()[-1])
        mount(disk, "remount,size=8m")
        assert "resumed at step" in commands.run("train", workdir, *arguments)
        commands.run("train", f"--workdir={whole}", *arguments)
        commands.assert_same_run(disk / "run", whole)
    print("too small, read-only, full, and on again: every variable is bitwise equal")


if __name__ == "__main__":
    if os.environ.get("OWN_MOUNTS"):
        main()
    else:
        os.environ["OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "-rm", sys.executable, *sys.argv])
