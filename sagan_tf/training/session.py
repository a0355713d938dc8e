"""One session of a run: restores or begins it, then trains with monitor, checks and scores."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from sagan_tf.config import TrainSettings
from sagan_tf.data import Source, batches, readable_errors
from sagan_tf.evaluation.extractors import make_extractor
from sagan_tf.evaluation.images import RealImages
from sagan_tf.evaluation.protocols import PROTOCOLS
from sagan_tf.machine.team import Team
from sagan_tf.output import files
from sagan_tf.pretrained import description, init_from
from sagan_tf.run import data_set
from sagan_tf.run.checkpoint import Checkpoints
from sagan_tf.run.workdir import BEST, CHECKPOINTS, write_description
from sagan_tf.training import loop, resuming
from sagan_tf.training.grid_checks import (
    Copies,
    GridCheck,
    KnownImages,
    Variety,
    held_out_images,
)
from sagan_tf.training.monitor import GRID_ROWS, Monitor, NullMonitor
from sagan_tf.training.score_tracker import ScoreTracker
from sagan_tf.training.trainer import SAGAN

# Added to the data's seed with each rollback: far from any seed that a user is likely to choose.
SEED_STRIDE = 0x9E3779B97F4A7C15
# Largest number of training images, and of their pixel values, that samples are compared with.
REFERENCE_IMAGES, REFERENCE_VALUES = 2048, 2**27
# Metrics computed while training, which take less time than generating the images does.
TRACKED = ("is", "fid", "agreement")


@dataclasses.dataclass(frozen=True)
class Session:
    """A model, its data and its workdir.

    Attributes:
        settings: the run's settings.
        strategy: the strategy under which the model was made.
        team: the workers; all of them call the same methods.
        source: the data set.
        sagan: the compiled model.
        workdir: the run's directory, locked by the chief.
    """

    settings: TrainSettings
    strategy: tf.distribute.Strategy
    team: Team
    source: Source
    sagan: SAGAN
    workdir: Path

    def train(self) -> tuple[int, int]:
        """Resumes the run, or begins it.

        Returns:
            The step reached, and the number of the signal that stopped the run, or 0.

        Raises:
            ValueError: if a worker has other weights or finds other checkpoints than the chief.
            OSError: if the disk has no space for checkpoints.
            NotFiniteError: see `loop.train`.
        """
        checkpoints = self._checkpoints(CHECKPOINTS, max_to_keep=self.settings.max_to_keep)
        if self.team.is_chief:
            # The next checkpoint is written before the oldest is removed, and logs and grids need
            # space as well. The same holds for the best checkpoint.
            count = 4 if self.settings.eval_every else 2
            space = count * checkpoints.bytes_needed()
            files.check_space(self.workdir, space, f"{count} checkpoints")
        first_step = self._restore(checkpoints)
        self.team.agree_on_weights(checkpoints.variables)
        if self.team.is_chief:
            self._write_description()
        tracker = self._score_tracker() if self.settings.eval_every else None
        with self._monitor(first_step) as monitor, readable_errors(self.source):
            return loop.train(
                self.sagan,
                self.strategy,
                self._batches_from,
                checkpoints,
                monitor,
                loop.Schedule(**self._settings_of(loop.Schedule)),
                first_step,
                tracker,
                self.team,
            )

    def say(self, text: str) -> None:
        """Prints a line, once for all workers."""
        if self.team.is_chief:
            print(text)

    def _settings_of(self, cls: type) -> dict[str, Any]:
        return {field.name: getattr(self.settings, field.name) for field in dataclasses.fields(cls)}

    @functools.cached_property
    def _data(self) -> dict[str, Any]:
        """The description of the data set that the run saves."""
        return data_set.describe(self.source)

    def _checkpoints(self, folder: str, **kwargs: Any) -> Checkpoints:
        owners = (self.sagan, self.sagan.generator_optimizer, self.sagan.discriminator_optimizer)
        kept = json.dumps(resuming.kept_settings(self.settings) | {"data": self._data})
        read_only = not self.team.is_chief
        return Checkpoints(self.workdir / folder, owners, kept, read_only=read_only, **kwargs)

    def _restore(self, checkpoints: Checkpoints) -> int:
        """Restores weights of the run or of `init_from`, if any; returns the step to begin at."""
        step = checkpoints.restore_newest()
        self.team.agree({"newest checkpoint in --workdir, a directory that all must share": step})
        if step is not None:
            self.say(f"resumed at step {step}")
            if step >= self.settings.steps:
                self.say(f"nothing to do: --steps={self.settings.steps} are done")
        elif self.settings.init_from:
            self._start_from(self.settings.init_from)
        return step or 0

    def _start_from(self, other: str) -> None:
        """Loads the weights of another run, see `pretrained.description`."""
        networks = [self.sagan.generator, self.sagan.discriminator]
        if self.sagan.ema_generator is not None:
            networks.append(self.sagan.ema_generator)
        theirs = description(other)
        there = theirs["class_names"]
        here = self._data["class_names"]
        shared = None
        if self.sagan.generator.num_classes is not None and here != there:
            shared = {here.index(name): there.index(name) for name in here if name in there}
        flags = resuming.network_flags(self.settings, theirs["settings"])
        init_from(other, networks, shared, " ".join(flags))
        self.say(f"started from the weights in {other}{_new_classes(len(here), shared)}")

    def _write_description(self) -> None:
        description = {
            "settings": resuming.kept_settings(self.settings),
            "dataset": self.source.name,
            **self._data,
            "ema": self.sagan.ema_generator is not None,
            "generator": self.sagan.generator.get_config(),
            "discriminator": self.sagan.discriminator.get_config(),
        }
        write_description(self.workdir, description)

    def _batches_from(self, step: int, rollbacks: int) -> Iterator[Any]:
        settings, replicas = self.settings, self.strategy.num_replicas_in_sync
        dataset = self.strategy.distribute_datasets_from_function(
            lambda context: batches(
                self.source,
                image_size=settings.image_size,
                seed=(settings.seed + rollbacks * SEED_STRIDE) % 2**64,
                start_step=step,
                global_batch_size=settings.global_batch_size,
                batches_per_step=settings.d_steps,
                num_replicas=replicas,
                replicas=self.team.shard(range(replicas)),
                flip=settings.flip,
                class_balanced=settings.class_balanced,
                scaled=False,
            )
        )
        return iter(dataset)

    def _monitor(self, first_step: int) -> contextlib.AbstractContextManager[Monitor | NullMonitor]:
        if not self.team.is_chief:
            return contextlib.nullcontext(NullMonitor())
        return Monitor(
            self.workdir,
            self.sagan,
            self.source.class_names,
            first_step,
            self.settings.steps,
            self.settings.global_batch_size * self.settings.d_steps,
            self._grid_checks(),
        )

    def _grid_checks(self) -> list[GridCheck]:
        """The checks of every sample grid: variety, copies and memorised training images."""
        settings = self.settings
        values = settings.image_size**2 * self.source.channels
        count = min(REFERENCE_IMAGES, max(2, REFERENCE_VALUES // values))
        real = RealImages(self.source, settings.split, settings.image_size, count)
        images, labels = real.read(0, real.num_images)
        conditional = self.sagan.generator.num_classes is not None
        checks: list[GridCheck] = [
            Variety(images, labels if conditional else None, GRID_ROWS),
            Copies(images),
        ]
        held_out = held_out_images(
            settings.dataset,
            settings.data_dir,
            settings.split,
            settings.image_size,
            settings.background,
            self.source.class_names,
        )
        if held_out is not None:
            checks.append(KnownImages(self.sagan.discriminator, (images, labels), held_out))
        return checks

    def _score_tracker(self) -> ScoreTracker:
        settings, source = self.settings, self.source
        cache = Path(settings.cache_dir).expanduser()
        protocol = dataclasses.replace(PROTOCOLS["fidelity"], num_images=settings.eval_images)
        real = RealImages(source, settings.split, settings.image_size, protocol.num_real)
        with self.team.chief_first():  # the chief downloads or trains the extractor
            extractor = make_extractor(
                settings.extractor, real, len(source.class_names), TRACKED, protocol, cache
            )
        best = self._checkpoints(BEST)
        return ScoreTracker(
            self.workdir, self.sagan, best, real, extractor, protocol, TRACKED, cache, self.team
        )


def _new_classes(count: int, shared: Mapping[int, int] | None) -> str:
    """The end of a sentence that says which of `count` classes take over their weights."""
    if shared is None:
        return ""
    if not shared:
        return "; its classes are others, so the weights of every class are new"
    if len(shared) == count:
        return "; its classes are in another order, and their weights were matched by name"
    return f"; {len(shared)} of {count} classes are known there by name, the others begin anew"
