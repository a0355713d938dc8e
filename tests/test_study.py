import json
import shlex
import shutil

import pytest

from tests.support import browser, commands

SMALL = (
    "--preset=smoke --steps=4 --measure_every=2 --samples=20 --train_flags=--base_filters=4\\ "
    "--global_batch_size=4\\ --latent_dim=4\\ --query_key_ratio=4\\ --steps_per_call=1"
)


def small(out, *flags):
    return [*shlex.split(SMALL), f"--out={out}", *flags]


def records(out, run):
    lines = (out / "runs" / run / "measures.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study that was stopped in its second run and gone on with; what was there before, too."""
    out = tmp_path_factory.mktemp("study") / "smoke"
    process = commands.start("study", *small(out))
    stopped = commands.stop_when(process, (out / "runs" / "attention-0" / "metrics.jsonl").exists)
    before = records(out, "none-0")
    return out, stopped, before, commands.run("study", *small(out))


def test_a_stopped_study_goes_on(study):
    out, (code, _, errors), before, output = study
    assert code == 143
    assert "stopped; the same command goes on from there" in errors
    assert "Traceback" not in errors
    assert not (out / "runs" / "none-0" / "samples" / "step-00000005.png").exists()
    # What was done is left alone.
    assert records(out, "none-0") == before
    assert "2 of 2 runs are trained" in output
    assert f"report: {out / 'index.html'}" in output


def test_every_checkpoint_is_measured(study):
    out, *_ = study
    measured = [
        (record["arm"], record["step"], record["averaged"], bool(record["attention"]))
        for record in records(out, "attention-0")
    ]
    assert measured == [
        ("attention", 0, False, True),
        ("off", 2, True, False),
        ("attention", 2, True, True),
        ("off", 4, True, False),
        ("attention", 4, True, True),
        ("off", 4, False, False),
        ("attention", 4, False, False),
    ]
    assert [(r["step"], r["averaged"]) for r in records(out, "none-0")] == [
        (2, True),
        (4, True),
        (4, False),
    ]
    classes = records(out, "none-0")[0]["classes"]
    assert set(classes["fur"]) >= {"readable", "graded", "patch_distance", "count"}
    lift = records(out, "attention-0")[0]["attention"]["discriminator/attention_16x16"]["twin"]
    assert lift["lift"] > 0
    assert lift["other_lift"] > 0
    assert lift["usage"] == 0  # of random weights, whose gates are shut


def test_the_page_shows_everything_and_asks_for_nothing(study):
    out, *_ = study
    asked = []
    with browser.browsing() as started:
        tab = started.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(f"file://{out / 'index.html'}")
        assert tab.inner_text("h1") == "Geometry against texture"
        assert "It says nothing about attention" in tab.inner_text("p.note")
        pairs = tab.locator("table.pairs").first.inner_text()
        assert "none" in pairs
        assert "off" in pairs
        assert tab.locator("#grids section").count() == 3
        assert tab.locator(".curves svg").count() == 24
        widths = tab.locator("img").evaluate_all("all => all.map(image => image.naturalWidth)")
    assert len(widths) >= 24
    assert min(widths) > 100
    assert [url for url in asked if not url.startswith("data:")] == [f"file://{out}/index.html"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A run on two classes, finished; its measures and the plan were then copied elsewhere."""
    out, copy = (tmp_path_factory.mktemp("pairs") / name for name in ("pairs", "copy"))
    small = "--base_filters=8 --discriminator_base_filters=8 --global_batch_size=4 --latent_dim=4"
    flags = ["--preset=cpu", "--classes=twin,cells", "--runs=twin-cells-attention-1"]
    flags += ["--steps=2", "--measure_every=2", "--samples=20"]
    flags += [f"--train_flags={small} --query_key_ratio=4 --steps_per_call=1"]
    output = commands.run("study", *flags, f"--out={out}")
    measures = "runs/twin-cells-attention-1/measures.jsonl"
    for name in ("study.json", measures):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(out / name, copy / name)
    return out, copy, flags, output


def test_runs_on_two_classes_are_measured_on_these(pair):
    out, _, _, output = pair
    assert "1 of 20 runs are trained" in output
    found = records(out, "twin-cells-attention-1")
    assert [(r["arm"], r["step"], r["averaged"]) for r in found] == [
        ("attention", 0, False),
        ("off", 2, True),
        ("attention", 2, True),
        ("off", 2, False),
        ("attention", 2, False),
    ]
    assert {record["group"] for record in found} == {"twin,cells"}
    assert all(list(record["classes"]) == ["twin", "cells"] for record in found[1:])
    assert set(found[-1]["classes"]["twin"]) >= {"closeness", "located"}
    assert list(found[2]["attention"]["generator/attention_8x8"]) == ["twin"]
    page = (out / "index.html").read_text()
    assert "twin,cells attention" in page
    assert "mirror of" not in page


def test_measures_alone_are_a_finished_run(pair):
    """Another machine has no weights of the run; in the meantime the study's note was reworded."""
    _, copy, flags, _ = pair
    plan = json.loads((copy / "study.json").read_text())
    (copy / "study.json").write_text(json.dumps({**plan, "note": "Other words."}))
    before = (copy / "runs" / "twin-cells-attention-1" / "measures.jsonl").read_bytes()
    output = commands.run("study", *flags, f"--out={copy}")
    assert "1 of 20 runs are trained" in output
    assert [path.name for path in (copy / "runs").rglob("*") if path.is_file()] == [
        "measures.jsonl"
    ]
    assert (copy / "runs" / "twin-cells-attention-1" / "measures.jsonl").read_bytes() == before
    page = (copy / "index.html").read_text()
    assert "Graded, of geometry" in page
    assert "Images</h2>" not in page  # there are no weights to draw them with


def test_list_gives_commands_for_elsewhere():
    lines = commands.run("study", *small("out"), "--list").splitlines()
    assert len(lines) == 2
    words = shlex.split(lines[1])
    assert words[:3] == ["python", "-m", "sagan_tf.study"]
    assert words[3:] == [*small("out"), "--runs=attention-0"]


def test_another_study_is_not_mixed_in(study):
    out, *_ = study
    errors = commands.fail("study", *small(out, "--seeds=2"))
    assert f"`--out` {out} holds another study: runs differ" in errors


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "One of `--preset`, `--ablation`, `--table` and `--figure` must say"),
        (["--preset=smoke", "--table=1"], "Received: --preset=smoke, --table=1"),
        (["--preset=smoke", "--ablation"], "Received: --preset=smoke, --ablation=true"),
        (["--ablation", "--seeds=0"], "`--seeds` must be at least 1. Received: 0"),
        (["--preset=tiny"], "`--preset` is one of smoke, cpu, full. Received: tiny"),
        (["--preset=cpu", "--classes=twin,cat"], "each named once. Received: 'twin,cat'"),
        (["--table=1", "--classes=twin"], "`--classes` is for `--preset`. Leave it out"),
        (["--table=3"], "`--table` is one of 1, 2. Received: 3"),
        (["--preset=cpu", "--dataset=cifar10"], "`--dataset` is for `--table` and `--figure`"),
        (["--ablation", "--first_seed=5"], "`--first_seed` is for `--preset`"),
        (["--table=1", "--seeds=3"], "`--seeds` is for `--preset` and `--ablation`"),
        (["--preset=cpu", "--train_flags=--seed=7"], "`--train_flags` cannot hold --seed"),
        (["--preset=cpu", "--steps=0"], "`--steps` must be at least 1. Received: 0"),
        (
            ["--preset=cpu", "--runs=none-9"],
            "`--runs` are of twin-cells-none-1, twin-cells-",
        ),
        (["--preset=cpu", "--train_flags=base_filters=8"], "expects flags of `sagan_tf.train`"),
        (["--table=1", "--image_size=48"], "`image_size` must be one of 16, 32, 64, 128, 256"),
    ],
)
def test_bad_flags_are_one_message(tmp_path, flags, message):
    assert message in commands.fail("study", *flags, f"--out={tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


def test_a_run_that_fails_says_why(tmp_path):
    flags = ["--preset=smoke", "--train_flags=--query_key_ratio=7", "--runs=attention-0"]
    errors = commands.fail("study", *flags, f"--out={tmp_path}")
    assert "`sagan_tf.train` failed, see" in errors
    assert "so that `query_key_ratio`=7 divides the 4 times as many channels" in errors


def test_the_papers_table_on_another_data_set(tmp_path):
    small = "--base_filters=4 --global_batch_size=8 --latent_dim=4 --query_key_ratio=4"
    flags = [f"--train_flags={small} --eval_images=20 --cache_dir={tmp_path / 'cache'}"]
    flags += ["--table=1", "--dataset=digits", "--image_size=16", "--steps=4", "--measure_every=2"]
    flags += ["--final_images=30", "--runs=attention-8-0"]
    output = commands.run("study", *flags, f"--out={tmp_path / 'out'}")
    assert "1 of 3 runs are trained" in output
    page = (tmp_path / "out" / "index.html").read_text()
    assert "22.98" in page  # what the paper has of attention at 8x8
    assert "frechet_distance, whole protocol" in page
    final = json.loads(
        (tmp_path / "out" / "runs" / "attention-8-0" / "final_scores.jsonl").read_text()
    )
    assert final["protocol"]["num_images"] == 30
    assert set(final["scores"]) >= {"frechet_distance"}


def test_the_ablation_has_a_line_for_each_arm_and_for_real_images(tmp_path):
    small = "--base_filters=4 --global_batch_size=8 --latent_dim=4 --query_key_ratio=4"
    flags = [f"--train_flags={small} --cache_dir={tmp_path / 'cache'}", "--ablation", "--steps=4"]
    flags += ["--seeds=1", "--runs=00-as-it-was-0,02-no-spectral-normalisation-in-G-0"]
    output = commands.run("study", *flags, f"--out={tmp_path / 'out'}")
    assert "2 of 15 runs are trained" in output
    final = json.loads((tmp_path / "out" / "final_scores.jsonl").read_text())
    assert final["images"]["real"]["dataset"] == "digits"
    assert final["scores"]["within_class_spread"] == pytest.approx(1, abs=0.02)
    with browser.browsing() as started:
        tab = started.new_page()
        tab.goto(f"file://{tmp_path / 'out' / 'index.html'}")
        rows = tab.locator("table").first.inner_text().splitlines()
        widths = tab.locator("img").evaluate_all("all => all.map(image => image.naturalWidth)")
    assert rows[1].split("\t")[0] == "as it was"
    assert rows[-1].startswith("real images against other real ones")
    assert f"{final['scores']['coverage']:.3f}" in rows[-1]
    assert len(widths) == 2
    assert min(widths) > 100
