import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sagan_tf.output import files

HOST = re.escape(socket.gethostname())


def claim(directory):
    with files.claimed(directory, "workdir"):
        pass


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    files.write_text(path, "old")

    def interrupted():
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    files.write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_too_little_space(tmp_path):
    files.check_space(tmp_path, 1, "Pictures")
    with pytest.raises(OSError, match=r"Pictures need 1099511627776.0 MiB .* MiB free. Free space"):
        files.check_space(tmp_path, 2**60, "Pictures")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "No space left on device (/run/x). Free space on that disk, then give"),
        (errno.ENOENT, "No such file or directory (/run/x). If it was moved, put it back"),
        (errno.EROFS, "Read-only file system (/run/x). Make it writable"),
        (errno.EIO, "Input/output error (/run/x). Look at that disk"),
    ],
)
def test_errors_of_writing_say_what_to_do(number, remedy):
    message = re.escape(f"`--out` /run cannot be written: {remedy}")
    with pytest.raises(OSError, match=message), files.explained(Path("/run"), "out"):
        raise OSError(number, os.strerror(number), "/run/x")


def test_other_errors_pass():
    with pytest.raises(OSError, match="as it is"), files.explained(Path("/run"), "out"):
        raise OSError("as it is")


def test_a_directory_has_one_owner(tmp_path):
    directory = tmp_path / "run"
    with files.claimed(directory, "workdir"):
        with pytest.raises(ValueError, match=f"by process {os.getpid()} on {HOST}. Wait for it"):
            claim(directory)
        (directory / "result").touch()
    claim(directory)
    assert (directory / files.LOCK).read_text() == ""


CLAIM_AND_WAIT = """
import pathlib, signal, sys
from sagan_tf.output import files
with files.claimed(pathlib.Path(sys.argv[1]), "workdir"):
    print("claimed", flush=True)
    signal.pause()
"""


def test_the_claim_of_a_killed_process_ends(tmp_path):
    command = [sys.executable, "-c", CLAIM_AND_WAIT, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "claimed\n"
        with pytest.raises(ValueError, match=f"by process {process.pid} on {HOST}"):
            claim(tmp_path)
        process.kill()
    claim(tmp_path)


def test_what_was_made_and_not_used_is_removed(tmp_path):
    with pytest.raises(KeyError), files.claimed(tmp_path / "run", "workdir"):
        raise KeyError
    assert not list(tmp_path.iterdir())
    claim(tmp_path)
    assert tmp_path.exists()


def test_file_systems_without_locks_are_warned_of(tmp_path, monkeypatch, caplog):
    def no_locks(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    claim(tmp_path)
    assert "cannot be locked: start no second process on it" in caplog.text


def test_directories_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is not a directory"):
        claim(tmp_path / "file")
    # The kernel's own: closed to everybody.
    for directory in (Path("/sys/kernel"), Path("/sys/run")):
        message = rf"`--workdir` {directory} cannot be written: .* Make it writable"
        with pytest.raises(OSError, match=message):
            claim(directory)
