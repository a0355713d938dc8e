"""Shows a run while it trains: progress bar, curves and sample grids."""

import contextlib
import errno
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from sagan_tf.attention import attention_layers, attention_measures
from sagan_tf.layers import SelfAttention2D
from sagan_tf.layers.nested import layers_of_kind
from sagan_tf.layers.spectral_norm import SpectralNormalization
from sagan_tf.models import Discriminator, Generator
from sagan_tf.output.files import must_exist, write_text
from sagan_tf.output.pictures import grid_scale, image_grid, save_png
from sagan_tf.run.checkpoint import as_os_error
from sagan_tf.sampling import from_uint8, latents_from_seeds, sample
from sagan_tf.training.collapse import CollapseReports, sample_spread
from sagan_tf.training.grid_checks import GridCheck
from sagan_tf.training.trainer import SAGAN

GRID_COLUMNS = 10
GRID_ROWS = 8


class Monitor:
    """Writes the progress bar, `metrics.jsonl`, TensorBoard logs, PNG grids and collapse warnings.

    Use it as a context manager around the loop. Its methods raise `OSError` if a file cannot be
    written.

    Args:
        workdir: the run's directory; `metrics.jsonl`, `tensorboard/` and `samples/` go there.
        sagan: the compiled model.
        class_names: one per class, shown above the grids' columns.
        first_step: number of steps already done. Later lines of `metrics.jsonl`, written by a run
            that was killed after its last checkpoint, are removed.
        steps: total number of steps.
        images_per_step: number of real images per step, to compute the rate.
        checks: checks of every sample grid; the scalars that they return are logged.
    """

    def __init__(
        self,
        workdir: Path,
        sagan: SAGAN,
        class_names: Sequence[str],
        first_step: int,
        steps: int,
        images_per_step: int,
        checks: Sequence[GridCheck] = (),
    ) -> None:
        self._workdir = workdir
        self._sagan = sagan
        self._class_names = class_names
        self._images_per_step = images_per_step
        self._checks = checks
        self._metrics = workdir / "metrics.jsonl"
        self._tensorboard = workdir / "tensorboard"
        self._tensorboard_bytes = 0
        self._writer = tf.summary.create_file_writer(str(self._tensorboard))
        self._bar = tqdm(total=steps, initial=first_step, unit="step", dynamic_ncols=True)
        self._bar.set_postfix_str("compiling the training step")
        self._compiling_since: float | None = time.perf_counter()
        self._collapse = CollapseReports()
        self._sample_scalars: dict[str, float] = {}
        # Hundreds of small operations, which take long one by one.
        self._network_tensors = tf.function(self._compute_network_scalars, autograph=False)
        self.go_back(first_step)

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.close()
        # Everything has been flushed, or its error has been reported.
        with contextlib.suppress(tf.errors.OpError):
            self._writer.close()

    def advance(self, steps: int) -> None:
        """Moves the progress bar; after the first call it prints how long compilation took."""
        if self._compiling_since is not None:
            seconds = time.perf_counter() - self._compiling_since
            tqdm.write(f"compiled the training step in {seconds:.0f} s", file=sys.stderr)
            self._compiling_since = None
            self._bar.set_postfix_str("")
        self._bar.update(steps)

    def go_back(self, step: int) -> None:
        """Continues at `step` and removes what was logged after it."""
        _forget_after(self._metrics, step)
        self._bar.n = step
        self._bar.refresh()
        self._logged = step, time.perf_counter()

    def log(self, step: int, losses: dict[str, float]) -> None:
        """Logs the step's scalars, with the scalars of a sample grid if one is new."""
        scalars = {
            **losses,
            **self._network_scalars(),
            **self._sample_scalars,
            "images_per_second": self._rate(step),
        }
        self._log_scalars(step, scalars)
        self._sample_scalars = {}
        self._collapse.see_loss(step, losses["discriminator_loss"])
        self._bar.set_postfix_str(
            f"{scalars['images_per_second']:.0f} images/s, "
            f"D {losses['discriminator_loss']:.2f}, G {losses['generator_loss']:.2f}"
        )

    def log_scores(self, step: int, scores: Mapping[str, float]) -> None:
        """Logs the scores of an evaluation, as a line of its own."""
        self._log_scalars(step, {f"score/{name}": score for name, score in scores.items()})

    def show_samples(self, step: int) -> Path:
        """Writes a grid of samples from fixed seeds, a column per class; returns the PNG's path."""
        generator = self._sagan.sampling_generator()
        columns = min(GRID_COLUMNS, generator.num_classes or GRID_COLUMNS)
        count = GRID_ROWS * columns
        labels = None if generator.num_classes is None else [i % columns for i in range(count)]
        titles = [] if labels is None else self._class_names[:columns]
        images = list(sample(generator, range(count), labels))
        grid = image_grid(images, columns, titles)
        path = self._workdir / "samples" / f"step-{step:08d}.png"
        must_exist(self._workdir)
        save_png(grid, path, grid_scale(generator.image_size))
        self._sample_scalars = {
            "sample_spread": sample_spread(images, labels),
            **_attention_scalars(generator, self._sagan.discriminator, images, labels),
        }
        for check in self._checks:
            self._sample_scalars |= check.see(step, images, labels)
        with self._tensorboard_at(step):
            tf.summary.image("samples", grid[None])
            for name, value in self._sample_scalars.items():
                tf.summary.scalar(name, value)
        if self._compiling_since is not None:
            self._compiling_since = time.perf_counter()
        return path

    def _log_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        with self._metrics.open("a") as file:
            file.write(json.dumps({"step": step, **scalars}) + "\n")
        with self._tensorboard_at(step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)

    @contextlib.contextmanager
    def _tensorboard_at(self, step: int) -> Iterator[None]:
        """Writes to TensorBoard what is logged inside, and checks that the files grow.

        TensorFlow does not report every failure to write.

        Raises:
            OSError: if the logs cannot be written.
        """
        try:
            with self._writer.as_default(step):
                yield
            self._writer.flush()
        except tf.errors.OpError as error:
            raise as_os_error(error, self._tensorboard) from error
        size = sum(path.stat().st_size for path in self._tensorboard.iterdir())
        if size == self._tensorboard_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._tensorboard))
        self._tensorboard_bytes = size

    def _rate(self, step: int) -> float:
        (before, then), now = self._logged, time.perf_counter()
        self._logged = step, now
        return (step - before) * self._images_per_step / (now - then)

    def _network_scalars(self) -> dict[str, float]:
        """Learning rates, and each layer's `gamma` of attention or largest singular value."""
        scalars = self._network_tensors()
        return dict(zip(scalars, tf.stack(list(scalars.values())).numpy().tolist(), strict=True))

    def _compute_network_scalars(self) -> dict[str, tf.Tensor]:
        """The same as float32 tensors."""
        scalars = {
            "learning_rate/generator": self._sagan.generator_optimizer.learning_rate,
            "learning_rate/discriminator": self._sagan.discriminator_optimizer.learning_rate,
        }
        for network in (self._sagan.generator, self._sagan.discriminator):
            for attention in layers_of_kind(network, SelfAttention2D):
                scalars[f"gamma/{attention.path}"] = attention.gamma
            for layer in layers_of_kind(network, SpectralNormalization):
                scalars[f"singular_value/{layer.path}"] = layer.singular_value()
        return {
            name: tf.cast(tf.convert_to_tensor(scalar), tf.float32)
            for name, scalar in scalars.items()
        }


class NullMonitor:
    """Replaces `Monitor` in workers that are not the chief, and shows nothing."""

    def advance(self, steps: int) -> None:
        """Does nothing."""

    def go_back(self, step: int) -> None:
        """Does nothing."""

    def log(self, step: int, losses: dict[str, float]) -> None:
        """Does nothing."""

    def log_scores(self, step: int, scores: Mapping[str, float]) -> None:
        """Does nothing."""

    def show_samples(self, step: int) -> None:
        """Does nothing."""


def _attention_scalars(
    generator: Generator,
    discriminator: Discriminator,
    images: Sequence[np.ndarray],
    labels: Sequence[int] | None,
) -> dict[str, float]:
    """Attention measures of both networks on the grid's first images; all would take too long."""
    images = images[:GRID_COLUMNS]  # with a single class, a grid has fewer
    classes = None if labels is None else np.array(labels[: len(images)], np.int32)
    seen = {
        generator: (latents_from_seeds(range(len(images)), generator.latent_dim), classes),
        discriminator: (from_uint8(images), classes),
    }
    return {
        f"attention/{path}/{name}": value
        for network, inputs in seen.items()
        if attention_layers(network)
        for path, measures in attention_measures(network, inputs).items()
        for name, value in measures.items()
    }


def _forget_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    lines = path.read_text().splitlines()
    kept = [line for line in lines if _step(line) <= step]
    if len(kept) < len(lines):
        write_text(path, "".join(f"{line}\n" for line in kept))


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError, TypeError):  # the run was killed while writing it
        return math.inf
