import pytest
import tensorflow as tf

from sagan_tf.machine import memory

GIB = 2**30


def needed(batch_size):
    """One GiB, and a quarter more for each image."""
    return GIB + batch_size * GIB // 4


def test_what_fits_passes():
    memory.check(needed, 16, 1, 5 * GIB)
    memory.check(needed, 16, 1, None)


def test_what_would_fit_is_named():
    with pytest.raises(ValueError, match=r"about 5.0 GiB .* at 16 images. Received: 3.1 GiB."):
        memory.check(needed, 16, 1, int(3.1 * GIB))
    complaint = memory.complaint(needed, 16, 1, int(3.1 * GIB))
    assert "8 images per replica would fit. `--gradient_accumulation=2` takes" in complaint
    # Batches of 48 in 3 parts: parts of 8 are a sixth.
    assert "accumulation=6`" in memory.complaint(needed, 48, 3, int(3.1 * GIB))
    # The estimate said that 4 would fit; they did not.
    assert "accumulation=8`" in memory.complaint(needed, 16, 4, 100 * GIB)
    assert "No smaller batch would fit" in memory.complaint(needed, 16, 1, GIB)
    assert "`--dtype_policy=mixed_bfloat16`" in memory.complaint(needed, 16, 1, GIB)
    assert "Received: too little" in memory.complaint(needed, 16, 1, None)


def test_other_programs_on_the_gpu_are_named(monkeypatch):
    assert "ALLOW_GROWTH" not in memory.complaint(lambda size: GIB, 16, 1, 0)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    assert "`TF_FORCE_GPU_ALLOW_GROWTH=true`" in memory.complaint(lambda size: GIB, 16, 1, 0)


def test_a_lack_of_memory_is_explained():
    for allocate in (lambda: tf.ones([2**50]), lambda: bytearray(2**60)):
        with pytest.raises(ValueError, match="take less"), memory.explained(lambda: "take less"):
            allocate()


@pytest.mark.parametrize(
    ("kind", "text", "lacks_memory"),
    [
        (tf.errors.InternalError, "Blas GEMM launch failed: CUBLAS_STATUS_ALLOC_FAILED", True),
        (tf.errors.UnknownError, "NCCL: unhandled cuda error (CUDA out of memory)", True),
        (tf.errors.InternalError, "Failed to allocate scratch memory", True),
        (tf.errors.InternalError, "ptxas exited with non-zero error code", False),
    ],
)
def test_nvidia_s_libraries_lack_memory_in_their_own_words(kind, text, lacks_memory):
    expected = ValueError if lacks_memory else kind
    with pytest.raises(expected), memory.explained(lambda: "take less"):
        raise kind(None, None, text)


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_the_host_tells():
    assert 2**20 < memory.available_bytes(1) < 2**50
    assert memory.available_bytes(2) < memory.available_bytes(1)


def test_the_kernel_alone(tmp_path):
    assert memory._left_on_host(tmp_path) is None
    write(tmp_path, {"proc/meminfo": "MemTotal: 2000 kB\nMemAvailable:    1000 kB\n"})
    assert memory._left_on_host(tmp_path) == 1000 * 1024


@pytest.mark.parametrize(
    ("folder", "line", "limit", "used", "reclaimable"),
    [
        ("cgroup", "0::/a/b", "memory.max", "memory.current", "inactive_file"),
        (
            "cgroup/memory",
            "4:cpu,memory:/a/b",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ],
)
def test_the_narrowest_control_group_counts(tmp_path, folder, line, limit, used, reclaimable):
    group = f"sys/fs/{folder}/a"
    write(
        tmp_path,
        {
            "proc/meminfo": "MemAvailable:    1000 kB\n",
            "proc/self/cgroup": f"9:name=systemd:/\n{line}\n",
            f"{group}/b/{limit}": "max\n",  # no limit of its own
            f"{group}/b/{used}": "100\n",
            f"{group}/b/memory.stat": "anon 5\n",
            f"{group}/{limit}": "70000\n",
            f"{group}/{used}": "30000\n",
            f"{group}/memory.stat": f"anon 5\n{reclaimable} 10000\n",
        },
    )
    assert memory._left_on_host(tmp_path) == 50_000
