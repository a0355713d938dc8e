import json

import pytest

from sagan_tf.machine.cluster import find_cluster
from tests.support.workers import tf_config


@pytest.mark.parametrize(
    "text", ["", "{}", '{"task": {"type": "worker", "index": 0}}', tf_config(["a:1"], 0)]
)
def test_without_a_cluster_a_process_is_alone(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert find_cluster() is None


def test_a_cluster_of_tf_config(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(["a:1", "b:1", "c:2"], 2))
    cluster = find_cluster()
    assert (cluster.addresses, cluster.index) == (("a:1", "b:1", "c:2"), 2)
    config = {
        "cluster": {"worker": ["b:1", "c:1"], "chief": ["a:1"]},
        "task": {"type": "worker", "index": 0},
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    cluster = find_cluster()
    assert (cluster.addresses, cluster.index) == (("a:1", "b:1", "c:1"), 1)
    resolver = cluster.resolver(gpus=4)
    assert resolver.cluster_spec().as_dict()["chief"] == ["a:1"]
    assert resolver.num_accelerators() == {"GPU": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be JSON"),
        ("[]", "must be JSON"),
        ('{"cluster": {"worker": ["a:1"]}}', "'task'"),
        (tf_config(["a:1", "b"], 0), "addresses host:port. Received: 'b'"),
        (tf_config(["a:1", "b:1"], 2), "a task of the cluster. Received: worker 2"),
        (tf_config(["a:1", "b:1"], -1), "a task of the cluster. Received: worker -1"),
        (
            json.dumps({"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}),
            "its jobs are worker and at most one chief.* Received: ps",
        ),
    ],
)
def test_a_damaged_tf_config(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=message):
        find_cluster()


def test_a_cluster_of_slurm(monkeypatch):
    """Twelve nodes of two tasks each: n10 comes after n9, but sorts before n2."""
    step = {
        "SLURM_STEP_NUM_TASKS": "24",
        "SLURM_STEP_NODELIST": "n[1-12]",
        "SLURM_STEP_TASKS_PER_NODE": "2(x12)",
        "SLURM_JOB_ID": "4003",
    }
    seen = set()
    for rank in range(24):
        node, local = rank // 2 + 1, rank % 2
        own = {
            "SLURM_PROCID": str(rank),
            "SLURM_LOCALID": str(local),
            "SLURMD_NODENAME": f"n{node}",
        }
        for name, value in (step | own).items():
            monkeypatch.setenv(name, value)
        cluster = find_cluster()
        assert cluster.addresses[cluster.index] == f"n{node}:{12000 + 16 * 3 + local}"
        seen.add((cluster.addresses, cluster.index))
    assert len({addresses for addresses, _ in seen}) == 1
    assert {index for _, index in seen} == set(range(24))
    monkeypatch.delenv("SLURMD_NODENAME")
    with pytest.raises(ValueError, match=r"do not describe its workers.*SLURMD_NODENAME"):
        find_cluster()
