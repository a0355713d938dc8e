"""Faults that end a run, by commands: what is said, what is left, and that it goes on exactly."""

import os
import resource
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from sagan_tf.output import files
from tests.by_hand import kills
from tests.support import commands


@pytest.fixture
def interrupted(digits, tmp_path):
    """The workdir of a run to 20 steps that was stopped at step 10, and the command's arguments."""
    workdir = shutil.copytree(digits, tmp_path / "run")
    for step in (15, 20):
        for path in (workdir / "checkpoints").glob(f"step-{step}.*"):
            path.unlink()
    return workdir, ["train", f"--workdir={workdir}", "--steps=20", *commands.TINY]


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def catches_sigterm(process):
    """A condition: the loop's handlers are in place, so training is about to begin."""

    def condition():
        status = Path(f"/proc/{process.pid}/status").read_text()
        (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
        return int(caught, 16) >> signal.SIGTERM - 1 & 1

    return condition


def test_three_kills(digits, tmp_path):
    assert kills.survive(tmp_path / "run", kills=3, steps=20)
    commands.assert_same_run(tmp_path / "run", digits)


def test_a_full_disk_while_saving(digits, interrupted):
    workdir, arguments = interrupted
    before = contents(workdir / "checkpoints")
    process = commands.start(*arguments)
    # No file may grow beyond this, and a checkpoint would.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    errors = commands.failed(process)
    path = workdir / "checkpoints" / "step-15"
    assert f"error: `--workdir` {workdir} cannot be written: File too large ({path}). " in errors
    assert "then give the same command again: it goes on from what was saved before." in errors
    assert contents(workdir / "checkpoints") == before
    assert "resumed at step 10" in commands.run(*arguments)
    commands.assert_same_run(workdir, digits)


def test_a_workdir_that_vanishes(interrupted):
    workdir, arguments = interrupted
    before = contents(workdir / "checkpoints")
    process = commands.start(*arguments)
    commands.wait_until(process, catches_sigterm(process))
    moved = workdir.rename(workdir.with_name("moved"))
    errors = commands.failed(process)
    assert f"error: `--workdir` {workdir} cannot be written: No such file or directory" in errors
    assert "If it was moved, put it back" in errors
    assert not workdir.exists()
    moved.rename(workdir)
    assert contents(workdir / "checkpoints") == before


def test_a_second_sigterm_ends_at_once(digits, interrupted):
    workdir, arguments = interrupted
    # One call into TensorFlow that takes minutes.
    rare = [f"--{name}=1000000" for name in "log_every sample_every checkpoint_every".split()]
    process = commands.start(*arguments, "--steps=1000000", "--steps_per_call=1000000", *rare)
    commands.wait_until(process, catches_sigterm(process))
    process.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=5)
    assert process.returncode == 128 + signal.SIGTERM
    # The first was answered while TensorFlow was at work.
    assert "stopping after the steps under way, then saving; a second signal ends at once" in errors
    commands.run(*arguments)
    commands.assert_same_run(workdir, digits)


def test_a_workdir_in_use(digits, tmp_path):
    workdir = shutil.copytree(digits, tmp_path / "run")
    with files.claimed(workdir, "workdir"):
        errors = commands.fail("train", f"--workdir={workdir}", "--steps=20", *commands.TINY)
    assert f"is in use by process {os.getpid()} on {socket.gethostname()}." in errors


def test_a_workdir_that_cannot_be_written():
    # The kernel lets nobody write there, not even root.
    errors = commands.fail("train", "--workdir=/sys/run", "--steps=20", *commands.TINY)
    assert "error: `--workdir` /sys/run cannot be written: " in errors
    assert "Make it writable" in errors


def test_too_little_memory(tmp_path):
    batch = "--global_batch_size=1073741824"
    errors = commands.fail("train", f"--workdir={tmp_path / 'run'}", *commands.TINY, batch)
    assert "GiB of memory per replica at 1073741824 images. Received: " in errors
    assert "`--gradient_accumulation=" in errors
    assert not (tmp_path / "run").exists()


def test_a_run_that_breaks_too_often(tmp_path):
    arguments = ["--steps=20", *commands.TINY, "--generator_learning_rate=1e30", "--num_replicas=2"]
    errors = commands.fail("train", f"--workdir={tmp_path}", "--max_rollbacks=2", *arguments)
    for number in (1, 2):
        assert f"Going on from step 0 with other noise: rollback {number} of 2" in errors
    assert "Training broke before step 5" in errors
    assert "`--max_rollbacks=3` or more" in errors
    assert [path.name for path in tmp_path.rglob("*.index")] == ["step-0.index"]


def test_a_lost_description_is_written_anew(digits, tmp_path):
    workdir = shutil.copytree(digits, tmp_path / "run")
    (workdir / "config.json").unlink()
    errors = commands.fail("sample", f"--workdir={workdir}", f"--out={tmp_path / 'grid.png'}")
    assert "holds checkpoints, but config.json is missing" in errors
    commands.run("train", f"--workdir={workdir}", "--steps=20", *commands.TINY)
    assert (workdir / "config.json").read_text() == (digits / "config.json").read_text().replace(
        str(digits), str(workdir)
    )


def test_ctrl_c_during_start_up_is_one_line(tmp_path):
    process = commands.start_anew("train", f"--workdir={tmp_path / 'run'}", *commands.TINY)
    maps = Path(f"/proc/{process.pid}/maps")
    code, _, errors = commands.stop_when(
        process, lambda: "libtensorflow" in maps.read_text(), signal.SIGINT
    )
    assert (code, errors.splitlines()[-1]) == (1, "interrupted")
    assert "Traceback" not in errors
