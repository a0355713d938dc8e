import os

from sagan_tf.machine import processors


def test_cores_are_those_that_this_process_may_use():
    own = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(own)})
        assert processors.num_cores() == 1
    finally:
        os.sched_setaffinity(0, own)
    assert processors.num_cores() == len(own)


def test_a_gpu_is_what_the_kernel_shows(tmp_path, monkeypatch):
    monkeypatch.setattr(processors, "GPU_FILES", str(tmp_path / "nvidia[0-9]*"))
    (tmp_path / "nvidiactl").touch()
    assert not processors.has_gpu()
    (tmp_path / "nvidia0").touch()
    assert processors.has_gpu()
