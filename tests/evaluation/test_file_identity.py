import os

import pytest

from sagan_tf.evaluation import file_identity as module
from sagan_tf.evaluation.file_identity import file_identity, without_times


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / name for name in ("a/1.png", "b/1.png", "b/2.png")]
    for index, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([index] * 10))
    return paths


def rewrite(path, data):
    """Other contents of the same size and time."""
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_changed_file_of_the_same_name_size_and_time_is_seen(files):
    before = file_identity(files, 3)
    assert file_identity(files[::-1], 3) == before
    rewrite(files[1], b"x" * 10)
    assert file_identity(files, 3) != before


def test_of_many_images_sizes_and_times_tell(files, monkeypatch):
    before = file_identity(files, 10_000)
    rewrite(files[1], b"x" * 10)
    assert file_identity(files, 10_000) == before  # nothing is read of them
    os.utime(files[1], ns=(0, 1))
    touched = file_identity(files, 10_000)
    assert touched != before
    assert without_times(touched) == without_times(before)
    rewrite(files[1], b"x" * 11)
    assert without_times(file_identity(files, 10_000)) != without_times(before)


def test_renamed_added_and_removed_files_are_seen_and_moved_ones_are_the_same(files, tmp_path):
    before = without_times(file_identity(files, 3))
    assert without_times(file_identity(files[:2], 3)) != before
    moved = tmp_path.rename(tmp_path.with_name("elsewhere"))
    paths = [moved / path.relative_to(tmp_path) for path in files]
    assert without_times(file_identity(paths, 3)) == before
    paths[2].rename(moved / "b/3.png")
    paths[2] = moved / "b/3.png"
    assert without_times(file_identity(paths, 3)) != before


def test_times_are_left_out_at_any_depth():
    identity = {"real": {"files": "a", module.TIMES: "b", "first": 3}, module.TIMES: "c"}
    assert without_times(identity) == {"real": {"files": "a", "first": 3}}
