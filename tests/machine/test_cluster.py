"""Several workers, as processes on this machine, against one process and against each other."""

import concurrent.futures
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf.machine.cluster import Cluster, _answering, find_cluster
from sagan_tf.machine.handshake import await_workers
from sagan_tf.machine.team import SINGLE_PROCESS, Team
from tests.support import commands

TINY = commands.TINY


def free_addresses(count):
    """So many addresses on this machine, whose ports nobody has."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]


def tf_config(addresses, index):
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def start_all(name, *arguments, count=2):
    """A command by so many workers."""
    addresses = free_addresses(count)
    return [
        commands.start(name, *arguments, TF_CONFIG=tf_config(addresses, index))
        for index in range(count)
    ]


def run_all(name, *arguments):
    """What the workers of a command that must succeed printed."""
    processes = start_all(name, *arguments)
    results = [process.communicate(timeout=300) for process in processes]
    for process, (_, errors) in zip(processes, results, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [output for output, _ in results]


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


def test_parts_are_whole_and_disjoint():
    addresses = ("a:1", "b:1", "c:1")
    teams = [Team(None, Cluster({"worker": addresses}, "worker", index)) for index in range(3)]
    parts = [list(team.shard(range(10))) for team in teams]
    assert [number for part in parts for number in part] == list(range(10))
    assert {len(part) for part in parts} == {3, 4}
    assert [team.is_chief for team in teams] == [True, False, False]
    assert list(teams[0].shard(range(10), 2)) == parts[2]
    assert SINGLE_PROCESS.shard(range(10)) == range(10)
    assert SINGLE_PROCESS.all_gather("x") == ["x"]


class Scripted(Team):
    """One of two workers, whose barriers end as they are told."""

    def __init__(self, *errors):
        super().__init__(None, Cluster({"worker": ("a:1", "b:1")}, "worker", 0))
        self.left = list(errors)

    def wait(self):
        error = self.left.pop(0)
        if error is not None:
            raise error


def test_who_has_passed_the_last_barrier_may_leave_first():
    closed = tf.errors.UnavailableError(None, None, "Socket closed; /job:worker/task:1")
    for errors in ([None, None], [None, closed]):
        team = Scripted(*errors)
        with team.complete():
            assert len(team.left) == 2
        assert team.left == []
    with (
        pytest.raises(ValueError, match="Worker b:1 was lost"),
        Scripted(closed).complete(),
    ):
        pass
    with SINGLE_PROCESS.complete():
        pass


def test_a_taken_port_is_named():
    with socket.create_server(("", 0)) as server:
        own = f"127.0.0.1:{server.getsockname()[1]}"
        cluster = Cluster({"worker": (own, "127.0.0.1:1")}, "worker", 0)
        with pytest.raises(ValueError, match=f"{own}, cannot be listened at: Address already"):
            await_workers(cluster, 1, 1)


def test_another_program_at_a_worker_s_address_is_none():
    own, other = free_addresses(2)
    with socket.create_server(("", int(other.rpartition(":")[2]))):
        cluster = Cluster({"worker": (own, other)}, "worker", 0)
        with pytest.raises(ValueError, match=f"1 of 2 workers did not come up .*: {other}"):
            await_workers(cluster, 1, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": 0}, r"must have the index 1, .* Received: 0"),
        ({"replicas": 8}, r"must have the replicas 4, .* Received: 8"),
        ({"cluster": ["a:1"]}, r"must have the cluster \['127.*\], .* Received: \['a:1'\]"),
    ],
)
def test_a_worker_that_does_not_fit(change, message):
    addresses = free_addresses(2)
    answer = {"cluster": addresses, "replicas": 4, "index": 1, "knows all": False} | change
    cluster = Cluster({"worker": tuple(addresses)}, "worker", 0)
    with _answering(addresses[1], answer), pytest.raises(ValueError, match=message):
        await_workers(cluster, 4, 5)


def test_workers_that_know_each_other_go_on():
    addresses = tuple(free_addresses(3))
    clusters = [Cluster({"worker": addresses}, "worker", index) for index in range(3)]
    servers = []

    def go_on(cluster):
        await_workers(cluster, 1, 20)
        # As TensorFlow's server, which says nothing.
        port = int(addresses[cluster.index].rpartition(":")[2])
        servers.append(socket.create_server(("", port)))

    with concurrent.futures.ThreadPoolExecutor() as threads:
        list(threads.map(go_on, clusters))
    for server in servers:
        server.close()
    assert len(servers) == 3


def test_a_worker_that_never_comes_up():
    addresses = free_addresses(3)
    started = time.monotonic()
    waiting = [
        commands.start("train", *TINY, "--worker_timeout=10", TF_CONFIG=tf_config(addresses, index))
        for index in (0, 2)
    ]
    for process in waiting:
        errors = commands.failed(process)
        assert f"1 of 3 workers did not come up within 10 seconds: {addresses[1]}." in errors
    assert time.monotonic() - started < 60


def test_several_replicas_on_a_worker_s_cpu_are_refused():
    arguments = [*TINY, "--num_replicas=2", "--device=cpu"]
    errors = commands.failed(
        commands.start("train", *arguments, TF_CONFIG=tf_config(free_addresses(2), 0))
    )
    assert "`--num_replicas` must be 1 on the CPU of each of several workers" in errors


def test_two_workers_compute_what_two_replicas_do(tmp_path):
    def start(name, replicas, **environment):
        out = tmp_path / f"{name}.npz"
        script = [sys.executable, "-m", "tests.support.worker_steps", out, str(replicas)]
        return out, subprocess.Popen(
            script,
            env=os.environ | commands.ENVIRONMENT | environment,
            cwd=commands.ROOT,
            stderr=subprocess.PIPE,
        )

    addresses = free_addresses(2)
    started = [start(index, 1, TF_CONFIG=tf_config(addresses, index)) for index in range(2)]
    started.append(start("replicas", 2))
    found = []
    for out, process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-3000:]
        with np.load(out) as file:
            found.append({name: file[name] for name in file.files})
    *workers, expected = found
    groups = [f"{step}/{part}" for step in (0, 1) for part in ("logs", "", "momentum")]
    assert expected.keys() == workers[0].keys() == workers[1].keys()
    compared = set()
    for group in groups:
        step, part = group.split("/")
        names = {
            name
            for name in expected
            if name.startswith(f"{step}/") and (part in name if part else name not in compared)
        }
        assert names
        compared |= names
        largest = max(np.abs(expected[name]).max() for name in names)
        for name in names:
            for values in workers:
                assert np.abs(values[name] - expected[name]).max() <= 1e-6 * largest, name
    assert compared == expected.keys()


def test_stopped_and_lost_workers(tmp_path):
    """SIGTERM to one saves and stops all; kill -9 of one stops the rest; it goes on bitwise."""

    def arguments(name, steps=20):
        return [
            "train",
            *TINY,
            f"--steps={steps}",
            "--sample_every=20",
            f"--workdir={tmp_path / name}",
        ]

    def has_step(step):
        return (tmp_path / "run" / "checkpoints" / f"step-{step}.index").exists

    scored = ["--eval_every=20", "--eval_images=41", f"--cache_dir={tmp_path / 'cache'}"]
    chief, other = run_all(*arguments("uninterrupted"), *scored)
    assert "checkpoints: " in chief
    assert not other
    score = json.loads((tmp_path / "uninterrupted" / "scores.jsonl").read_text())
    assert (score["step"], score["protocol"]["num_images"]) == (20, 41)
    assert (tmp_path / "uninterrupted" / "best" / "step-20.index").exists()
    processes = start_all(*arguments("run", 500))
    commands.wait_until(processes[0], has_step(5))
    processes[1].send_signal(signal.SIGTERM)
    for process, printer in zip(processes, (True, False), strict=True):
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 128 + signal.SIGTERM, errors[-3000:]
        assert ("checkpoints: " in output) == printer
    stopped = max(int(path.stem.split("-")[1]) for path in tmp_path.glob("run/*/step-*.index"))
    processes = start_all(*arguments("run", 500))
    commands.wait_until(processes[0], has_step(stopped + 5))
    processes[1].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    errors = commands.failed(processes[0])
    assert time.monotonic() - killed < 30
    assert "was lost: its process or machine ended" in errors
    processes[1].communicate(timeout=10)
    newest = max(int(path.stem.split("-")[1]) for path in tmp_path.glob("run/*/step-*.index"))
    steps = max(20, newest + 5)
    run_all(*arguments("run", steps))
    if steps > 20:
        run_all(*arguments("uninterrupted", steps))
    commands.assert_same_run(tmp_path / "run", tmp_path / "uninterrupted")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(5, steps + 1, 5))


def test_other_settings_or_code_at_one_worker_are_refused(tmp_path):
    other_code = tmp_path / "other"
    shutil.copytree(commands.ROOT / "sagan_tf", other_code / "sagan_tf")
    with (other_code / "sagan_tf" / "losses.py").open("a") as file:
        file.write("# Not the same.\n")
    for name, where, flags in (
        ("seed", commands.ROOT, ["--seed=1"]),
        ("code of sagan_tf", other_code, []),
    ):
        addresses = free_addresses(2)
        arguments = [*TINY, f"--workdir={tmp_path / 'run'}"]
        chief = commands.start("train", *arguments, TF_CONFIG=tf_config(addresses, 0))
        environment = commands.ENVIRONMENT | {"TF_CONFIG": tf_config(addresses, 1)}
        other = subprocess.Popen(
            [sys.executable, "-m", "sagan_tf.train", *arguments, *flags],
            env=os.environ | environment | {"PYTHONPATH": str(where)},
            cwd=where,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in (chief, other):
            errors = commands.failed(process)
            assert f"All workers must have the same {name}. Received: " in errors
            assert f"from {addresses[1]}" in errors
        assert not (tmp_path / "run").exists()


def test_scores_and_samples_of_two_workers(digits, tmp_path):
    found = {}
    for name, run in (("one", commands.run), ("two", run_all)):
        workdir = tmp_path / name
        shutil.copytree(digits, workdir)
        cache, grid, singles = (tmp_path / f"{name}{end}" for end in ("-cache", ".png", "-singles"))
        run(
            "evaluate",
            f"--workdir={workdir}",
            f"--cache_dir={cache}",
            "--num_images=60",
            "--num_real=201",
        )
        run(
            "sample", f"--workdir={workdir}", f"--out={grid}", f"--singles={singles}", "--seeds=0-4"
        )
        with Image.open(grid) as picture:
            pixels = np.array(picture).astype(int)
        left = sorted(path.name for path in workdir.glob(".sample*"))
        record = json.loads((workdir / "scores.jsonl").read_text())
        found[name] = record, pixels, sorted(path.name for path in singles.iterdir()), left
        assert not list(cache.rglob("*-part-*"))
    (one, pixels, names, _), (two, other_pixels, other_names, left) = found.values()
    assert not left
    assert names == other_names
    assert np.abs(pixels - other_pixels).max() <= 1
    assert one["scores"].keys() == two["scores"].keys()
    for name, score in one["scores"].items():
        assert two["scores"][name] == pytest.approx(score, rel=1e-4, abs=1e-6), name
