import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import sampling
from sagan_tf.data import load_source
from sagan_tf.evaluation.images import RealImages
from sagan_tf.evaluation.protocols import PROTOCOLS
from sagan_tf.models import Discriminator, Generator
from sagan_tf.run.checkpoint import Checkpoints
from sagan_tf.run.workdir import load_scores
from sagan_tf.training.loop import Stopped
from sagan_tf.training.score_tracker import ScoreTracker
from sagan_tf.training.trainer import SAGAN
from tests.support import commands

PROTOCOL = dataclasses.replace(PROTOCOLS["fidelity"], num_images=150)


class Halves:
    """Features that need no training: the brightness of an image's halves."""

    name = "halves"
    identity = {"network": "halves"}  # noqa: RUF012

    def __call__(self, images):
        halves = images.astype(np.float32).reshape(len(images), 2, -1)
        return {"features": halves.mean(axis=2)}


def make_sagan():
    network = {"image_size": 16, "num_classes": 10, "base_filters": 4, "channels": 1}
    network["attention_resolutions"] = ()
    sagan = SAGAN(Generator(latent_dim=8, **network), Discriminator(**network), ema_decay=0.9)
    sagan.compile(
        keras.optimizers.Adam(name="generator_optimizer"),
        keras.optimizers.Adam(name="discriminator_optimizer"),
    )
    return sagan


@pytest.fixture
def tracker(tmp_path):
    def make(sagan):
        workdir = tmp_path / "run"
        best = Checkpoints(workdir / "best", [sagan])
        real = RealImages(load_source("digits"), "train", 16, 300)
        cache = tmp_path / "cache"
        return ScoreTracker(workdir, sagan, best, real, Halves(), PROTOCOL, ["fid"], cache)

    return make


def no_check():
    pass


def brighten(sagan, amount):
    """Makes all images of the averaged generator gray; the digits are, on average, at -0.4."""
    generator = sagan.ema_generator
    generator.output_norm.gamma.assign(tf.zeros_like(generator.output_norm.gamma))
    generator.output_convolution.bias.assign([np.arctanh(amount)])


def test_the_best_checkpoint_is_kept(tracker, tmp_path):
    sagan = make_sagan()
    tracked = tracker(sagan)
    scores = {}
    for step, brightness in ((10, 0.0), (20, -0.3), (30, 0.9), (15, -0.4)):  # at 15 went back
        brighten(sagan, brightness)
        scores[step] = tracked.score(step, no_check)["frechet_distance"]
        best = min(scores, key=scores.get)
        kept = {path.name for path in (tmp_path / "run" / "best").iterdir()}
        names = {f"step-{best}.index", f"step-{best}.data-00000-of-00001", "score.json"}
        assert kept == names
        record = json.loads((tmp_path / "run" / "best" / "score.json").read_text())
        assert record["step"] == best
    assert scores[15] < scores[20] < scores[10] < scores[30]
    assert [record["step"] for record in load_scores(tmp_path / "run")] == [10, 20, 30, 15]
    assert tracked.scored(20)
    assert not tracked.scored(25)
    # A run that goes on knows what is best.
    brighten(sagan, 0.9)
    tracker(sagan).score(40, no_check)
    assert Checkpoints(tmp_path / "run" / "best", [sagan]).restore_newest() == 15


def test_scores_made_otherwise_are_not_compared(tracker, tmp_path, monkeypatch):
    sagan = make_sagan()
    brighten(sagan, -0.4)
    tracker(sagan).score(10, no_check)
    brighten(sagan, 0.9)
    monkeypatch.setattr(Halves, "identity", {"network": "others"})
    tracker(sagan).score(20, no_check)
    assert Checkpoints(tmp_path / "run" / "best", [sagan]).restore_newest() == 20


def test_a_check_ends_the_work_which_is_found_again(tracker, tmp_path):
    sagan = make_sagan()
    calls = []

    def third():
        calls.append(None)
        if len(calls) == 3:
            raise Stopped

    tracked = tracker(sagan)
    with pytest.raises(Stopped):
        tracked.score(10, third)
    assert load_scores(tmp_path / "run") == []
    calls.clear()
    tracked.score(10, lambda: calls.append(None))
    assert len(calls) == 1  # of three batches, two are there
    assert tracked.scored(10)


def test_too_few_images_are_said_before_the_training(tmp_path):
    sagan, real = make_sagan(), RealImages(load_source("digits"), "train", 16, 1)
    best = Checkpoints(tmp_path / "best", [sagan])
    with pytest.raises(ValueError, match=r"The metric fid needs at least 2 real images .* 1\."):
        ScoreTracker(tmp_path, sagan, best, real, Halves(), PROTOCOL, ["fid"], tmp_path)
    few = dataclasses.replace(PROTOCOL, num_images=1)
    with pytest.raises(ValueError, match=r"at least 2 generated images .`--eval_images`"):
        ScoreTracker(tmp_path, sagan, best, real, Halves(), few, ["fid"], tmp_path)


def test_replicas_score_as_one(tracker, two_replicas):
    one = make_sagan()
    expected = tracker(one).score(1, no_check)
    with two_replicas.scope():
        two = make_sagan()
    weights = {variable.path: variable.numpy() for variable in one.variables}
    for variable in two.variables:
        variable.assign(weights[variable.path])
    scores = tracker(two).score(1, no_check)
    assert scores == pytest.approx(expected, rel=1e-6)


@pytest.fixture(scope="module")
def tracked_run(tmp_path_factory):
    """A run of 20 steps that is scored after every 8."""
    folder = tmp_path_factory.mktemp("tracked")
    commands.run(
        "train",
        f"--workdir={folder / 'run'}",
        "--steps=20",
        "--eval_every=8",
        "--eval_images=100",
        f"--cache_dir={folder / 'cache'}",
        *commands.TINY,
    )
    return folder / "run"


def test_a_run_writes_its_scores(tracked_run, tmp_path):
    lines = [json.loads(line) for line in (tracked_run / "metrics.jsonl").read_text().splitlines()]
    scores = {
        line["step"]: line["score/frechet_distance"]
        for line in lines
        if "score/frechet_distance" in line
    }
    assert list(scores) == [8, 16, 20]
    (file,) = (tracked_run / "tensorboard").iterdir()
    tags = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    }
    assert {"score/frechet_distance", "score/label_agreement"} <= tags
    _, step = sampling.restore_generator(tracked_run, best=True)
    assert step == min(scores, key=scores.get)
    grid = tmp_path / "grid.png"
    commands.run("sample", f"--workdir={tracked_run}", "--best", "--seeds=0", f"--out={grid}")
    assert grid.exists()


def test_scoring_changes_no_training(tracked_run, digits):
    first, second = (
        tf.train.load_checkpoint(str(workdir / "checkpoints" / "step-20"))
        for workdir in (tracked_run, digits)
    )
    names = [name for name in first.get_variable_to_shape_map() if "settings" not in name]
    assert len(names) > 100
    for name in names:
        np.testing.assert_array_equal(first.get_tensor(name), second.get_tensor(name), err_msg=name)
