import errno
import functools
import os
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.models import Discriminator, Generator
from sagan_tf.run import checkpoint
from sagan_tf.run.finite import NotFiniteError
from sagan_tf.training import loop
from sagan_tf.training.grid_checks import Copies, KnownImages, Variety
from sagan_tf.training.monitor import Monitor
from sagan_tf.training.trainer import SAGAN


class Fragile(SAGAN):
    """After step 9 its losses are finite and its weights are not, if it never went back."""

    breaks = False

    def run_step(self, *data):
        logs = super().run_step(*data)
        if self.breaks:
            now = self.generator_optimizer.iterations == 9
            broken = tf.logical_and(now, self.rollbacks.value == 0)
            bias = self.generator.trainable_variables[-1]
            bias.assign_add(tf.fill(bias.shape, tf.where(broken, np.nan, 0.0)))
        return logs


class Listener:
    """Takes the monitor's place and keeps what it is told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *arguments: self.told.append((name, *arguments))


class Run:
    """A run that goes on with what lies in a directory."""

    def __init__(self, sagan, directory, poisoned=False):
        self.sagan, self.directory, self.poisoned = sagan, directory, poisoned
        owners = (sagan, sagan.generator_optimizer, sagan.discriminator_optimizer)
        self.checkpoints = checkpoint.Checkpoints(directory, owners, max_to_keep=10)
        self.monitor, self.begun = Listener(), []

    def train(self, max_rollbacks, tracker=None, sample_every=100):
        schedule = loop.Schedule(10, 5, 100, sample_every, 3, max_rollbacks, 4 if tracker else 0)
        first_step = self.checkpoints.restore_newest()
        strategy = tf.distribute.get_strategy()
        arguments = (self.checkpoints, self.monitor, schedule, first_step, tracker)
        return loop.train(self.sagan, strategy, self.batches_from, *arguments)

    def batches_from(self, step, rollbacks):
        """Random images; those of step 7 are not finite before the first rollback."""
        self.begun.append((step, rollbacks))

        def batch(index):
            images = tf.random.stateless_uniform((4, 16, 16, 1), tf.stack([rollbacks, index]), -1)
            if self.poisoned and not rollbacks:
                images += tf.where(index == 6, np.nan, 0.0)
            return images, tf.range(4) % 3

        return iter(tf.data.Dataset.range(step, 1000).map(lambda i: batch(tf.cast(i, tf.int32))))

    def saved(self):
        """The variables in each checkpoint, by step."""
        paths = {int(path.stem[5:]): path for path in self.directory.glob("*.index")}
        readers = {
            step: tf.train.load_checkpoint(str(paths[step].with_suffix(""))) for step in paths
        }
        return {
            step: {
                name: reader.get_tensor(name)
                for name in reader.get_variable_to_shape_map()
                if "VARIABLE_VALUE" in name and "settings" not in name
            }
            for step, reader in sorted(readers.items())
        }


@pytest.fixture(scope="module", autouse=True)
def _traced_once():
    """All runs of a model share its traced function: tracing takes longer than they do."""
    make = loop.make_run_steps
    cached = functools.cache(lambda sagan, strategy, breaks: make(sagan, strategy))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            loop, "make_run_steps", lambda sagan, strategy: cached(sagan, strategy, sagan.breaks)
        )
        yield


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A tiny model, and a directory with its checkpoint of step 0."""
    keras.utils.set_random_seed(0)
    network = {"image_size": 16, "num_classes": 3, "base_filters": 4, "channels": 1}
    network["attention_resolutions"] = ()
    networks = Generator(latent_dim=8, **network), Discriminator(**network)
    sagan = Fragile(*networks, ema_decay=0.9)
    sagan.compile(
        keras.optimizers.Adam(1e-3, name="generator_optimizer"),
        keras.optimizers.Adam(1e-3, name="discriminator_optimizer"),
    )
    run = Run(sagan, tmp_path_factory.mktemp("origin"))
    run.checkpoints.save(0)
    return sagan, run.directory


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_array_equal(value, right[name], err_msg=name)


def test_weights_that_are_not_finite_are_never_saved(origin, tmp_path, monkeypatch):
    sagan, directory = origin
    monkeypatch.setattr(Fragile, "breaks", True)
    run = Run(sagan, shutil.copytree(directory, tmp_path / "run"))
    with pytest.raises(NotFiniteError, match=r"before step 9: 1 variables.*generator/.*bias.*Noth"):
        run.train(max_rollbacks=0)
    saved = run.saved()
    assert list(saved) == [0, 3, 6]
    for values in saved.values():
        assert all(np.isfinite(value).all() for value in values.values())


def test_a_rollback_goes_on_with_other_noise_and_data_and_resumes_exactly(origin, tmp_path, caplog):
    sagan, directory = origin
    whole = Run(sagan, shutil.copytree(directory, tmp_path / "whole"), poisoned=True)
    assert whole.train(max_rollbacks=1) == (10, 0)
    assert whole.begun == [(0, 0), (6, 1)]
    assert ("go_back", 6) in whole.monitor.told
    assert "Going on from step 6 with other noise: rollback 1 of 1" in caplog.text
    saved = whole.saved()
    assert list(saved) == [0, 3, 6, 9, 10]
    latents, _ = sagan.noise.latents_and_labels(7, 0, 4)
    sagan.rollbacks.assign(0)
    assert not np.allclose(latents, sagan.noise.latents_and_labels(7, 0, 4)[0])

    # Killed before the rollback was saved, and after: the count comes back, or is found again.
    for last in (6, 9):
        part = Run(sagan, shutil.copytree(directory, tmp_path / f"part{last}"), poisoned=True)
        for path in whole.directory.glob(f"step-{last}.*"):
            shutil.copy(path, part.directory)
        assert part.train(max_rollbacks=1) == (10, 0)
        assert part.begun == ([(6, 0), (6, 1)] if last == 6 else [(9, 1)])
        assert_equal(part.saved()[10], saved[10])


def test_a_fresh_run_begins_with_a_grid_and_a_resumed_one_does_not(origin, tmp_path):
    sagan, directory = origin
    run = Run(sagan, shutil.copytree(directory, tmp_path / "run"))
    run.train(max_rollbacks=0)
    assert [call[1] for call in run.monitor.told if call[0] == "show_samples"] == [0, 10]
    for path in run.directory.glob("step-9.*"), run.directory.glob("step-10.*"):
        for file in path:
            file.unlink()
    run.monitor = Listener()
    run.train(max_rollbacks=0)
    assert [call[1] for call in run.monitor.told if call[0] == "show_samples"] == [10]


def test_what_looks_at_a_run_changes_none_of_its_numbers(origin, tmp_path):
    """Every variable of every checkpoint, with grids and all checks at all steps or with none."""
    sagan, directory = origin
    unseen = Run(sagan, shutil.copytree(directory, tmp_path / "unseen"))
    unseen.train(max_rollbacks=0)
    seen = Run(sagan, shutil.copytree(directory, tmp_path / "seen"))
    real = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 1), np.uint8)
    labels = np.arange(60) % 3
    checks = [
        Variety(real, labels, 8),
        Copies(real),
        KnownImages(sagan.discriminator, (real, labels), (real[::-1], labels)),
    ]
    with Monitor(seen.directory, sagan, "abc", 0, 10, 4, checks) as seen.monitor:
        seen.train(max_rollbacks=0, sample_every=1)
    assert len(list((seen.directory / "samples").iterdir())) == 11
    assert list(seen.saved()) == list(unseen.saved()) == [0, 3, 6, 9, 10]
    for step, values in unseen.saved().items():
        assert_equal(values, seen.saved()[step])


class Broken(Listener):
    """A monitor that can show nothing."""

    def show_samples(self, step):
        self.told.append(("show_samples", step))
        raise RuntimeError("no font")

    def log(self, step, losses):
        self.told.append(("log", step))
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_fails_while_showing_costs_no_run(origin, tmp_path, caplog):
    sagan, directory = origin
    run = Run(sagan, shutil.copytree(directory, tmp_path / "run"))
    run.monitor = Broken()
    save, told = run.checkpoints.save, run.monitor.told
    run.checkpoints.save = lambda step: told.append(("save", step)) or save(step)
    assert run.train(max_rollbacks=0, sample_every=5) == (10, 0)
    # What is due is saved before it is shown; and once more where the disk may be at fault.
    assert [call for call in told if call[0] != "advance"] == [
        *[("show_samples", 0), ("save", 3), ("show_samples", 5), ("save", 6), ("save", 9)],
        *[("save", 10), ("show_samples", 10), ("log", 10), ("save", 10)],
    ]
    assert caplog.text.count("The sample grid of step 0 failed: RuntimeError: no font.") == 1
    assert caplog.text.count("The sample grid of step") == 1
    assert "The log of step 10 failed: OSError: [Errno 28] No space left" in caplog.text


def test_a_disk_that_takes_no_checkpoint_either_ends_the_run(origin, tmp_path):
    sagan, directory = origin
    run = Run(sagan, shutil.copytree(directory, tmp_path / "run"))
    run.monitor = Broken()
    run.monitor.show_samples = lambda step: run.monitor.log(step, {})
    run.checkpoints.save = lambda step: step != 5 or os.stat(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="gone"):
        run.train(max_rollbacks=0, sample_every=5)
    assert [call for call in run.monitor.told if call[0] == "log"] == [("log", 0), ("log", 5)]


def test_a_score_that_fails_costs_no_run(origin, tmp_path, caplog):
    sagan, directory = origin
    run = Run(sagan, shutil.copytree(directory, tmp_path / "run"))
    tracker = Tracker()
    tracker.score = lambda step, check: {}["fid"]
    assert run.train(0, tracker) == (10, 0)
    assert list(run.saved()) == [0, 3, 4, 6, 8, 9, 10]
    assert caplog.text.count("The score of step 4 failed: KeyError: 'fid'.") == 1
    assert caplog.text.count("The score of step") == 1


class Tracker:
    """Takes the place of one that scores; asked for step 8, it first gets a signal."""

    def __init__(self):
        self.steps = []

    def scored(self, step):
        return step in self.steps

    def score(self, step, check):
        if step == 8 and not self.steps[1:]:
            self.steps.append("signal")
            os.kill(os.getpid(), signal.SIGTERM)
        check()
        self.steps.append(step)
        return {"fid": float(step)}


def test_scores_when_due_and_goes_on_after_a_signal_within(origin, tmp_path):
    sagan, directory = origin
    run, tracker = Run(sagan, shutil.copytree(directory, tmp_path / "run")), Tracker()
    assert run.train(0, tracker) == (8, signal.SIGTERM)
    assert tracker.steps == [4, "signal"]
    assert list(run.saved()) == [0, 3, 4, 6, 8]
    assert run.train(0, tracker) == (10, 0)
    assert tracker.steps == [4, "signal", 8, 10]
    told = [call[1:] for call in run.monitor.told if call[0] == "log_scores"]
    assert told == [(step, {"fid": float(step)}) for step in (4, 8, 10)]
