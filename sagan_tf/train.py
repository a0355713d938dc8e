"""Trains a SAGAN.

python -m sagan_tf.train --dataset=imagenet2012 --workdir=runs/imagenet

A workdir that holds a run is gone on with; `--dry_run` prints settings and costs and stops.
"""

import contextlib
import dataclasses
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagan_tf import command, config
from sagan_tf.machine import startup

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from sagan_tf.data import Source
    from sagan_tf.machine.team import Team
    from sagan_tf.training.grid_checks import GridCheck
    from sagan_tf.training.score_tracker import ScoreTracker
    from sagan_tf.training.trainer import SAGAN

# Between the data's seeds after one rollback more: far from any seed that is likely to be given.
SEED_STRIDE = 0x9E3779B97F4A7C15
# Training images that samples are compared with while training, and their pixel values at most.
REFERENCE_IMAGES, REFERENCE_VALUES = 2048, 2**27
# Scores while training: those that take less time than the images do.
TRACKED = ("is", "fid", "agreement")


def main(resolved: tuple[config.TrainSettings, dict[str, str]]) -> None:
    """Trains until `--steps`, or prints what that would take."""
    settings, sources = resolved
    from sagan_tf.data import check_source, describe_source, load_source
    from sagan_tf.machine.cluster import find_cluster
    from sagan_tf.machine.devices import make_strategy
    from sagan_tf.machine.team import Team, code_facts
    from sagan_tf.output import files
    from sagan_tf.training import dry_run, resuming
    from sagan_tf.training.build import make_sagan

    if settings.dry_run:
        described = describe_source(
            settings.dataset, settings.data_dir, settings.split, settings.background
        )
        dry_run.report(settings, sources, described)
        return
    cluster = find_cluster()
    strategy = make_strategy(
        settings.device,
        settings.num_replicas,
        settings.deterministic,
        cluster,
        settings.worker_timeout,
    )
    team = Team(strategy, cluster)
    replicas = strategy.num_replicas_in_sync
    _check_batch(settings, replicas)
    workdir = Path(settings.workdir)
    claimed = files.claimed(workdir, "workdir") if team.is_chief else contextlib.nullcontext()
    with team.complete(), claimed:
        team.agree(code_facts() | resuming.as_json(settings))
        before = resuming.check_workdir(settings, workdir)
        if settings.init_from:
            resuming.check_init_from(settings)  # before anything is built
        with team.chief_first():  # which downloads and prepares it
            source = load_source(
                settings.dataset,
                settings.data_dir,
                settings.split,
                settings.image_size,
                settings.background,
            )
        notes = [] if before is None else resuming.check_data(settings, source, workdir, before)
        if team.is_chief:
            for note in notes:
                print(note)
            print(
                check_source(source, settings.image_size, settings.seed, settings.global_batch_size)
            )
        enough_memory = _enough_memory(settings, source, replicas, replicas // team.size)
        with enough_memory, files.explained(workdir, "workdir"):
            with strategy.scope():
                sagan = make_sagan(settings, source, _label_weights(settings, source))
            if team.is_chief:
                _print_choices(settings, sources, workdir)
            step, stopped = _train(settings, strategy, team, source, sagan, workdir)
    if stopped:
        print(f"stopped at step {step}; the same command goes on from there", file=sys.stderr)
        sys.exit(128 + stopped)


def _check_batch(settings: config.TrainSettings, replicas: int) -> None:
    if settings.global_batch_size % (replicas * settings.gradient_accumulation):
        raise ValueError(
            "`--global_batch_size` must be divisible by replicas * gradient_accumulation. "
            f"Received: {settings.global_batch_size}, {replicas} replicas, "
            f"{settings.gradient_accumulation} parts"
        )
    if settings.xla and settings.sync_batch_norm and replicas > 1:
        raise ValueError(
            "`--xla` cannot be combined with `--sync_batch_norm` on several replicas: XLA cannot "
            "compile the exchange between them. Turn one off."
        )


@contextlib.contextmanager
def _enough_memory(
    settings: config.TrainSettings, source: "Source", replicas: int, replicas_here: int
) -> Iterator[None]:
    """Refuses what cannot fit into memory, and explains what did not."""
    import tensorflow as tf

    from sagan_tf.machine import memory
    from sagan_tf.training import cost
    from sagan_tf.training.build import make_networks

    part = settings.global_batch_size // replicas // settings.gradient_accumulation
    available = memory.available_bytes(replicas_here)
    kept = settings.averaged, int(settings.consistency_weight > 0)

    def networks() -> tuple[Any, Any]:
        with tf.device("CPU"):  # their shapes are enough, and a GPU may be full
            return make_networks(settings, source)

    def question() -> tuple[Any, ...]:
        needed = cost.training_memory(*networks(), *kept)
        batch_size = settings.global_batch_size // replicas
        return needed, batch_size, settings.gradient_accumulation, available

    # Tracing the step to know better takes seconds.
    if available is None or cost.training_bytes_at_most(*networks(), part, *kept) > available:
        memory.check(*question())
    with memory.explained(lambda: memory.complaint(*question())):
        yield


def _label_weights(settings: config.TrainSettings, source: "Source") -> "np.ndarray | None":
    """How often generated images are of each class; `None` for all alike."""
    if settings.label_distribution == "uniform" or settings.class_balanced:
        return None
    from sagan_tf.data import class_counts

    counts = class_counts(source)
    return None if (counts == counts[0]).all() else counts


def _write_description(
    settings: config.TrainSettings, source: "Source", sagan: "SAGAN", workdir: Path
) -> None:
    from sagan_tf.run import data_set
    from sagan_tf.run.workdir import write_description
    from sagan_tf.training import resuming

    description = {
        "settings": resuming.kept_settings(settings),
        "dataset": source.name,
        **data_set.describe(source),
        "ema": sagan.ema_generator is not None,
        "generator": sagan.generator.get_config(),
        "discriminator": sagan.discriminator.get_config(),
    }
    write_description(workdir, description)


def _train(
    settings: config.TrainSettings,
    strategy: "tf.distribute.Strategy",
    team: "Team",
    source: "Source",
    sagan: "SAGAN",
    workdir: Path,
) -> tuple[int, int]:
    """Trains; returns the step reached, and the signal that stopped it or 0."""
    from sagan_tf.data import batches, readable_errors
    from sagan_tf.output import files
    from sagan_tf.run.checkpoint import Checkpoints
    from sagan_tf.run.workdir import CHECKPOINTS
    from sagan_tf.training import loop
    from sagan_tf.training.monitor import Monitor, Onlooker

    checkpoints = Checkpoints(
        workdir / CHECKPOINTS,
        *_saved(settings, source, sagan),
        max_to_keep=settings.max_to_keep,
        read_only=not team.is_chief,
    )
    say = print if team.is_chief else (lambda text: None)
    if team.is_chief:
        # The next one is written before the oldest is removed; logs and grids need some, too. So
        # it is with the best one.
        count = 4 if settings.eval_every else 2
        files.check_space(workdir, count * checkpoints.bytes_needed(), f"{count} checkpoints")
    first_step = checkpoints.restore_newest()
    team.agree({"newest checkpoint in --workdir, a directory that all must share": first_step})
    if first_step is not None:
        say(f"resumed at step {first_step}")
        if first_step >= settings.steps:
            say(f"nothing to do: --steps={settings.steps} are done")
    elif settings.init_from:
        same_classes = _start_from(settings.init_from, sagan, source)
        fresh = "" if same_classes else "; its classes are others, so what belongs to one is new"
        say(f"started from the weights in {settings.init_from}{fresh}")
    team.agree_on_weights(checkpoints.variables)
    first_step = first_step or 0
    if team.is_chief:
        _write_description(settings, source, sagan, workdir)
    tracker = _tracker(settings, team, source, sagan, workdir) if settings.eval_every else None

    def batches_from(step: int, rollbacks: int) -> Iterator[Any]:
        dataset = strategy.distribute_datasets_from_function(
            lambda context: batches(
                source,
                image_size=settings.image_size,
                seed=(settings.seed + rollbacks * SEED_STRIDE) % 2**64,
                start_step=step,
                global_batch_size=settings.global_batch_size,
                batches_per_step=settings.d_steps,
                num_replicas=strategy.num_replicas_in_sync,
                replicas=team.shard(range(strategy.num_replicas_in_sync)),
                flip=settings.flip,
                class_balanced=settings.class_balanced,
            )
        )
        return iter(dataset)

    images_per_step = settings.global_batch_size * settings.d_steps
    schedule = loop.Schedule(
        **{field.name: getattr(settings, field.name) for field in dataclasses.fields(loop.Schedule)}
    )
    monitor = contextlib.nullcontext(Onlooker())
    if team.is_chief:
        monitor = Monitor(
            workdir,
            sagan,
            source.class_names,
            first_step,
            settings.steps,
            images_per_step,
            _grid_checks(settings, source, sagan),
        )
    with monitor as shown, readable_errors(source):
        step, stopped = loop.train(
            sagan, strategy, batches_from, checkpoints, shown, schedule, first_step, tracker, team
        )
    # All is saved: a scheduler's late SIGTERM shall not make the run look failed.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for name in ("samples", CHECKPOINTS, "tensorboard"):
        say(f"{name}: {workdir / name}")
    return step, stopped


def _grid_checks(
    settings: config.TrainSettings, source: "Source", sagan: "SAGAN"
) -> "list[GridCheck]":
    """What looks at every sample grid: at its variety, and for training images known by heart."""
    from sagan_tf.evaluation.images import RealImages
    from sagan_tf.training.grid_checks import Copies, KnownImages, Variety, held_out_images
    from sagan_tf.training.monitor import GRID_ROWS

    values = settings.image_size**2 * source.channels
    count = min(REFERENCE_IMAGES, max(2, REFERENCE_VALUES // values))
    real = RealImages(source, settings.split, settings.image_size, count)
    images, labels = real.read(0, real.num_images)
    conditional = sagan.generator.num_classes is not None
    checks = [Variety(images, labels if conditional else None, GRID_ROWS), Copies(images)]
    held_out = held_out_images(
        settings.dataset,
        settings.data_dir,
        settings.split,
        settings.image_size,
        settings.background,
        source.class_names,
    )
    if held_out is not None:
        checks.append(KnownImages(sagan.discriminator, (images, labels), held_out))
    return checks


def _saved(
    settings: config.TrainSettings, source: "Source", sagan: "SAGAN"
) -> tuple[tuple[Any, ...], str]:
    """What a checkpoint holds: variables of these, the settings and the classes."""
    from sagan_tf.run import data_set
    from sagan_tf.training import resuming

    owners = (sagan, sagan.generator_optimizer, sagan.discriminator_optimizer)
    return owners, json.dumps(
        resuming.kept_settings(settings) | {"data": data_set.describe(source)}
    )


def _tracker(
    settings: config.TrainSettings, team: "Team", source: "Source", sagan: "SAGAN", workdir: Path
) -> "ScoreTracker":
    from sagan_tf.evaluation.extractors import make_extractor
    from sagan_tf.evaluation.images import RealImages
    from sagan_tf.evaluation.protocols import PROTOCOLS
    from sagan_tf.run.checkpoint import Checkpoints
    from sagan_tf.run.workdir import BEST
    from sagan_tf.training.score_tracker import ScoreTracker

    cache = Path(settings.cache_dir).expanduser()
    protocol = dataclasses.replace(PROTOCOLS["fidelity"], num_images=settings.eval_images)
    real = RealImages(source, settings.split, settings.image_size, protocol.num_real)
    with team.chief_first():  # which downloads or trains it
        extractor = make_extractor(
            settings.extractor, real, len(source.class_names), TRACKED, protocol, cache
        )
    best = Checkpoints(
        workdir / BEST, *_saved(settings, source, sagan), read_only=not team.is_chief
    )
    return ScoreTracker(workdir, sagan, best, real, extractor, protocol, TRACKED, cache, team)


def _start_from(other: str, sagan: "SAGAN", source: "Source") -> bool:
    """Takes another run's weights; returns whether it has the same classes."""
    from sagan_tf.run.checkpoint import init_from
    from sagan_tf.run.workdir import CHECKPOINTS, load_description

    networks = [sagan.generator, sagan.discriminator]
    if sagan.ema_generator is not None:
        networks.append(sagan.ema_generator)
    same_classes = load_description(other)["class_names"] == list(source.class_names)
    init_from(Path(other) / CHECKPOINTS, networks, same_classes)
    return same_classes


def _print_choices(settings: config.TrainSettings, sources: dict[str, str], workdir: Path) -> None:
    """The preset, and what differs from it."""
    from sagan_tf.run.workdir import CONFIG
    from sagan_tf.training import resuming

    given = [
        f"{name}={json.dumps(value)}"
        for name, value in resuming.as_json(settings).items()
        if sources[name] in (config.FLAG, config.SHARE)
        and name not in ("dataset", "preset", "workdir")
    ]
    print(f"preset {settings.preset}{' with ' if given else ''}{', '.join(given)}")
    print(f"all settings: {workdir / CONFIG}")


def _resolve(given: dict[str, Any]) -> tuple[config.TrainSettings, dict[str, str]]:
    dataset = given.get("dataset", config.TrainSettings.dataset)
    num_images = None
    if dataset.startswith(("prepared:", "folder:")):
        startup.import_tensorflow()  # which what is imported next would do loudly
        from sagan_tf.data import load_source

        # The preset follows the data set that was prepared, and the number of pictures.
        source = load_source(dataset, split=given.get("split", config.TrainSettings.split))
        dataset, num_images = source.name, source.num_examples
    return config.resolve(given, dataset, num_images)


if __name__ == "__main__":
    command.run(main, config.TrainSettings, _resolve)
