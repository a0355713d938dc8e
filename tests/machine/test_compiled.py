"""Each compilation is in a process of its own: TensorFlow reads the variable once."""

import os
import random

import pytest
import tensorflow as tf

from sagan_tf.machine import compiled
from tests.support import commands


def compile_in(cache, spoil=None, **environment):
    """The error of a process that compiles a function, after `spoil` was called; none is empty."""
    receiver, sender = commands.FORKS.Pipe(duplex=False)
    process = commands.FORKS.Process(target=_compile, args=(cache, spoil, environment, sender))
    with sender:  # the child has its own
        process.start()
    error = receiver.recv()
    process.join()
    return error


def _compile(cache, spoil, environment, sender):
    os.environ.update(environment)
    try:
        with compiled.kept(cache, "1 x NVIDIA H200"):
            if spoil:
                spoil(cache)
            twice = tf.function(lambda x: tf.tanh(tf.matmul(x, x)), jit_compile=True)
            assert abs(float(twice(2 * tf.eye(3))[0, 0]) - 0.99933) < 1e-5
    except Exception as error:
        sender.send(f"{type(error).__name__}: {error}")
    sender.send("")


def _replace_by_a_file(cache):
    (folder,) = (cache / "xla").iterdir()
    folder.rmdir()
    folder.touch()


@pytest.mark.parametrize("name", ["cache", 'a user\'s \\ "own" cache'])
def test_what_was_compiled_is_read_the_next_time(tmp_path, name):
    assert compile_in(tmp_path / name) == ""
    (path,) = (tmp_path / name).rglob("*.pb")
    assert path.parent.name.startswith("1-x-NVIDIA-H200-tensorflow-2.")
    first = path.stat().st_mtime_ns
    assert compile_in(tmp_path / name) == ""
    assert path.stat().st_mtime_ns == first


@pytest.mark.parametrize("kept", [0, 100, -1, "noise"])
def test_a_damaged_file_is_made_again(tmp_path, kept):
    """As when the machine crashed while it was written; XLA itself would fail on it."""
    assert compile_in(tmp_path) == ""
    (path,) = tmp_path.rglob("*.pb")
    whole = path.read_bytes()
    path.write_bytes(random.randbytes(len(whole)) if kept == "noise" else whole[:kept])
    assert compile_in(tmp_path) == ""
    assert len(path.read_bytes()) == len(whole)


def test_a_disk_that_takes_no_more_is_explained(tmp_path):
    message = compile_in(tmp_path, _replace_by_a_file)
    assert message.startswith("ValueError: What XLA compiled cannot be kept in")
    assert "--cache_dir" in message


def test_the_users_own_directory_stays(tmp_path):
    own = tmp_path / "own"
    flags = f"--tf_xla_persistent_cache_directory={own}"
    assert compile_in(tmp_path / "cache", TF_XLA_FLAGS=flags) == ""
    assert len(list(own.iterdir())) == 1
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, caplog, monkeypatch):
    (tmp_path / "xla").write_text("no folder")
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    with compiled.kept(tmp_path, "GPU"):
        assert "TF_XLA_FLAGS" not in os.environ
    assert "What XLA compiles is not kept" in caplog.text


def test_other_errors_and_flags_pass(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")
    error = tf.errors.InternalError(None, None, "something else")
    with pytest.raises(tf.errors.InternalError), compiled.kept(tmp_path, "GPU"):
        raise error
    assert os.environ["TF_XLA_FLAGS"].startswith("--tf_xla_auto_jit=0 --tf_xla_persistent")
