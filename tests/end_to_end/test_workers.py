"""Several workers, as processes on this machine, against one process and against each other."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.support import commands
from tests.support.workers import free_addresses, run_all, start_all, tf_config

TINY = commands.TINY


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
        left = sorted(path.name for path in tmp_path.glob(f".{name}.png*"))
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


def test_two_workers_sample_what_ships(tmp_path):
    """Its workdir is no directory, so that nothing can be exchanged there."""
    grids = []
    for name, run in (("one", commands.run), ("two", run_all)):
        grid = tmp_path / "new" / f"{name}.png"
        run("sample", "--workdir=digits", f"--out={grid}", "--seeds=0-2", "--labels=7,3")
        with Image.open(grid) as picture:
            grids.append(np.array(picture).astype(int))
    assert np.abs(grids[0] - grids[1]).max() <= 1
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["one.png", "two.png"]
