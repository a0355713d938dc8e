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

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from sagan_tf.cluster import Team
    from sagan_tf.data import Source
    from sagan_tf.monitor import GridCheck
    from sagan_tf.regularization import Regularization
    from sagan_tf.tracking import ScoreTracker
    from sagan_tf.trainer import SAGAN

# Between the data's seeds after one rollback more: far from any seed that is likely to be given.
SEED_STRIDE = 0x9E3779B97F4A7C15
# Between machines, in Gbit/s, both ways at once.
LINK_RATES = (1, 10, 100)
# Suggested where attention takes much of the memory.
CHUNK_SIZE = 256
# Training images that samples are compared with while training, and their pixel values at most.
REFERENCE_IMAGES, REFERENCE_VALUES = 2048, 2**27
# Scores while training: those that take less time than the images do.
TRACKED = ("is", "fid", "agreement")


def main(resolved: tuple[config.TrainSettings, dict[str, str]]) -> None:
    """Trains until `--steps`, or prints what that would take."""
    settings, sources = resolved
    from sagan_tf import files
    from sagan_tf.cluster import Team, code_facts, find_cluster
    from sagan_tf.data import check_source, describe_source, load_source
    from sagan_tf.devices import make_strategy

    if settings.dry_run:
        described = describe_source(
            settings.dataset, settings.data_dir, settings.split, settings.background
        )
        _print_costs(settings, sources, described)
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
        team.agree(code_facts() | _as_json(settings))
        _check_workdir(settings, workdir)
        if settings.init_from:
            _check_init_from(settings)  # before anything is built
        with team.chief_first():  # which downloads and prepares it
            source = load_source(
                settings.dataset,
                settings.data_dir,
                settings.split,
                settings.image_size,
                settings.background,
            )
        if team.is_chief:
            print(
                check_source(source, settings.image_size, settings.seed, settings.global_batch_size)
            )
        enough_memory = _enough_memory(settings, source, replicas, replicas // team.size)
        with enough_memory, files.explained(workdir, "workdir"):
            with strategy.scope():
                sagan = _build(settings, source)
            if team.is_chief:
                _print_settings(settings, sources)
            _train(settings, strategy, team, source, sagan, workdir)


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


def _as_json(settings: config.TrainSettings) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def _check_workdir(settings: config.TrainSettings, workdir: Path) -> None:
    """Refuses to mix runs of different settings."""
    from sagan_tf.checkpoint import saved_settings
    from sagan_tf.workdir import CHECKPOINTS

    before = saved_settings(workdir / CHECKPOINTS)
    if before is None:
        return
    # A setting that came after the run began has its default there.
    before = {**_as_json(config.TrainSettings()), **before}
    if not settings.resume:
        raise ValueError(
            f"`--workdir` {workdir} already holds a run, and --noresume forbids to go on with it. "
            "Choose another workdir."
        )
    changed = config.differences(before, _as_json(settings))
    if changed:
        raise ValueError(
            f"`--workdir` {workdir} holds a run with other settings: {'; '.join(changed)}. Give "
            "the same settings to go on with it, or choose another workdir."
        )


def _check_init_from(settings: config.TrainSettings) -> None:
    """Refuses settings under which the other run's weights would compute something else."""
    from sagan_tf.workdir import load_description

    description = load_description(settings.init_from)
    # Other such settings are free to change: these come with the weights alone.
    for network, name in (
        ("generator", "batch_norm_epsilon"),
        ("generator", "dense_bias"),
        ("discriminator", "relu_shortcut"),
    ):
        theirs = description[network].get(name, getattr(config.TrainSettings, name))
        if getattr(settings, name) != theirs:
            raise ValueError(
                f"`--{name}` must be {theirs}, as in the run in {settings.init_from}: its weights "
                f"would compute something else. Received: {getattr(settings, name)}"
            )


@contextlib.contextmanager
def _enough_memory(
    settings: config.TrainSettings, source: "Source", replicas: int, replicas_here: int
) -> Iterator[None]:
    """Refuses what cannot fit into memory, and explains what did not."""
    import tensorflow as tf

    from sagan_tf import cost, memory

    part = settings.global_batch_size // replicas // settings.gradient_accumulation
    available = memory.available_bytes(replicas_here)
    kept = settings.averaged, int(settings.consistency_weight > 0)

    def networks() -> tuple[Any, Any]:
        with tf.device("CPU"):  # their shapes are enough, and a GPU may be full
            return _networks(settings, source)

    def question() -> tuple[Any, ...]:
        needed = cost.training_memory(*networks(), *kept)
        batch_size = settings.global_batch_size // replicas
        return needed, batch_size, settings.gradient_accumulation, available

    # Tracing the step to know better takes seconds.
    if available is None or cost.training_bytes_at_most(*networks(), part, *kept) > available:
        memory.check(*question())
    with memory.explained(lambda: memory.complaint(*question())):
        yield


def _networks(settings: config.TrainSettings, source: "Source", **kwargs: Any) -> tuple[Any, Any]:
    from sagan_tf.models import Discriminator, Generator

    shared = {
        "image_size": settings.image_size,
        "num_classes": source.num_classes if settings.conditional else None,
        "base_filters": settings.base_filters,
        "channels": source.channels,
        "attention_resolutions": settings.attention_resolutions,
        "mixing": settings.mixing,
        "query_key_ratio": settings.query_key_ratio,
        "value_ratio": settings.value_ratio,
        "pool_size": settings.pool_size,
        "kernel_initializer": settings.kernel_initializer,
        "resampling": settings.resampling,
        "query_chunk_size": settings.query_chunk_size,
        "dtype": settings.dtype_policy,
        **kwargs,
    }
    generator = Generator(
        latent_dim=settings.latent_dim,
        dense_bias=settings.dense_bias,
        spectral_normalization=settings.generator_spectral_normalization,
        batch_norm_momentum=settings.batch_norm_momentum,
        output_batch_norm_momentum=settings.output_batch_norm_momentum,
        batch_norm_epsilon=settings.batch_norm_epsilon,
        **shared,
    )
    if settings.discriminator_base_filters is not None:
        shared["base_filters"] = settings.discriminator_base_filters
    discriminator = Discriminator(relu_shortcut=settings.relu_shortcut, **shared)
    generator.build()
    discriminator.build()
    discriminator.freeze(settings.freeze_discriminator)
    return generator, discriminator


def _build(settings: config.TrainSettings, source: "Source") -> "SAGAN":
    import keras

    from sagan_tf.trainer import SAGAN

    def adam(name: str, learning_rate: float, updates: int) -> keras.optimizers.Adam:
        schedules = keras.optimizers.schedules
        if settings.schedule == "linear":
            learning_rate = schedules.PolynomialDecay(learning_rate, updates, 0.0)
        elif settings.schedule == "cosine":
            learning_rate = schedules.CosineDecay(learning_rate, updates)
        # TensorFlow 1's epsilon, which the published code relies on, is a tenth of Keras'.
        return keras.optimizers.Adam(
            learning_rate, settings.beta_1, settings.beta_2, epsilon=1e-8, name=name
        )

    keras.utils.set_random_seed(settings.seed)
    sagan = SAGAN(
        *_networks(settings, source),
        d_steps=settings.d_steps,
        gradient_accumulation=settings.gradient_accumulation,
        ema_decay=settings.ema_decay,
        ema_start_step=settings.ema_start_step,
        ema_half_life=settings.ema_half_life,
        ema_ramp=settings.ema_ramp,
        regularization=_regularization(settings),
        label_weights=_label_weights(settings, source),
        seed=settings.seed,
    )
    d_updates = settings.steps * settings.d_steps
    sagan.compile(
        adam("generator_optimizer", settings.generator_learning_rate, settings.steps),
        adam("discriminator_optimizer", settings.discriminator_learning_rate, d_updates),
        xla=settings.xla,
        sync_batch_norm=settings.sync_batch_norm,
    )
    return sagan


def _regularization(settings: config.TrainSettings) -> "Regularization":
    from sagan_tf.regularization import Regularization

    return Regularization(
        policies=settings.augment,
        adaptive=settings.adaptive_augment,
        target=settings.augment_target,
        ramp_images=settings.augment_ramp_images,
        consistency_weight=settings.consistency_weight,
        lecam_weight=settings.lecam_weight,
        r1_weight=settings.r1_weight,
        r1_interval=settings.r1_interval,
    )


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
    from sagan_tf.workdir import write_description

    description = {
        "settings": _as_json(settings),
        "dataset": source.name,
        "class_names": source.class_names,
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
) -> None:
    from sagan_tf import files, loop
    from sagan_tf.checkpoint import Checkpoints
    from sagan_tf.data import batches, readable_errors
    from sagan_tf.monitor import Monitor, Onlooker
    from sagan_tf.workdir import CHECKPOINTS

    checkpoints = Checkpoints(
        workdir / CHECKPOINTS,
        *_saved(settings, sagan),
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
        _start_from(settings.init_from, sagan, source)
        say(f"started from the weights in {settings.init_from}")
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
                replicas=team.share_of(range(strategy.num_replicas_in_sync)),
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
    if stopped:
        print(f"stopped at step {step}; the same command goes on from there", file=sys.stderr)
        sys.exit(128 + stopped)


def _grid_checks(
    settings: config.TrainSettings, source: "Source", sagan: "SAGAN"
) -> "list[GridCheck]":
    """What looks at every sample grid: at its variety, and for training images known by heart."""
    from sagan_tf.evaluation.images import RealImages
    from sagan_tf.memorising import Copies, KnownImages, held_out_images
    from sagan_tf.monitor import GRID_ROWS
    from sagan_tf.variety import Variety

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


def _saved(settings: config.TrainSettings, sagan: "SAGAN") -> tuple[tuple[Any, ...], str]:
    """What a checkpoint holds: variables of these, and the settings."""
    owners = (sagan, sagan.generator_optimizer, sagan.discriminator_optimizer)
    return owners, json.dumps(_as_json(settings))


def _tracker(
    settings: config.TrainSettings, team: "Team", source: "Source", sagan: "SAGAN", workdir: Path
) -> "ScoreTracker":
    from sagan_tf.checkpoint import Checkpoints
    from sagan_tf.evaluation.extractors import make_extractor
    from sagan_tf.evaluation.images import RealImages
    from sagan_tf.evaluation.protocols import PROTOCOLS
    from sagan_tf.tracking import ScoreTracker
    from sagan_tf.workdir import BEST

    cache = Path(settings.cache_dir).expanduser()
    protocol = dataclasses.replace(PROTOCOLS["fidelity"], num_images=settings.eval_images)
    real = RealImages(source, settings.split, settings.image_size, protocol.num_real)
    with team.chief_first():  # which downloads or trains it
        extractor = make_extractor(
            settings.extractor, real, len(source.class_names), TRACKED, protocol, cache
        )
    best = Checkpoints(workdir / BEST, *_saved(settings, sagan), read_only=not team.is_chief)
    return ScoreTracker(workdir, sagan, best, real, extractor, protocol, TRACKED, cache, team)


def _start_from(other: str, sagan: "SAGAN", source: "Source") -> None:
    from sagan_tf.checkpoint import init_from
    from sagan_tf.workdir import CHECKPOINTS, load_description

    networks = [sagan.generator, sagan.discriminator]
    if sagan.ema_generator is not None:
        networks.append(sagan.ema_generator)
    same_classes = load_description(other)["class_names"] == list(source.class_names)
    init_from(Path(other) / CHECKPOINTS, networks, same_classes)


def _print_settings(settings: config.TrainSettings, sources: dict[str, str]) -> None:
    for name, value in _as_json(settings).items():
        print(f"{name:28} {json.dumps(value):24} {sources[name]}")


def _print_costs(settings: config.TrainSettings, sources: dict[str, str], source: Any) -> None:
    from sagan_tf import cost
    from sagan_tf.cluster import find_cluster

    _print_settings(settings, sources)
    networks = _networks(settings, source, dtype="float32")
    plain = _networks(settings, source, dtype="float32", resampling="plain")
    print()
    for network, reference in zip(networks, plain, strict=True):
        print(
            f"{network.name:14} {cost.parameters(network):>12,} parameters  "
            f"{cost.multiply_accumulates(network) / 1e9:7.3f} GMAC per image "
            f"({cost.multiply_accumulates(reference) / 1e9:.3f} in the plain form)"
        )
    cluster = find_cluster()
    replicas = (settings.num_replicas or 1) * (len(cluster.addresses) if cluster else 1)
    batch = settings.global_batch_size // (replicas * settings.gradient_accumulation)
    kept = settings.averaged, int(settings.consistency_weight > 0)
    needed = cost.training_bytes(*networks, batch, *kept)
    print(f"memory per replica: about {needed / 2**30:.1f} GiB at {batch} images (estimated)")
    if settings.attention_resolutions and settings.query_chunk_size is None:
        chunked = _networks(settings, source, dtype="float32", query_chunk_size=CHUNK_SIZE)
        less = cost.training_bytes(*chunked, batch, *kept)
        if less < 0.8 * needed:
            print(f"with --query_chunk_size={CHUNK_SIZE}: about {less / 2**30:.1f} GiB")
    workers = len(cluster.addresses) if cluster else 2
    exchanged = cost.exchanged_bytes(*networks, settings.d_steps, workers)
    times = ", ".join(f"{8e3 * exchanged / (rate * 1e9):.1f} ms at {rate}" for rate in LINK_RATES)
    print(
        f"each of {workers} workers: sends and receives {exchanged / 1e6:.1f} MB per step, "
        f"{times} Gbit/s"
    )


def _resolve(given: dict[str, Any]) -> tuple[config.TrainSettings, dict[str, str]]:
    dataset = given.get("dataset", config.TrainSettings.dataset)
    num_images = None
    if dataset.startswith(("prepared:", "folder:")):
        from sagan_tf.data import load_source

        # The preset follows the data set that was prepared, and the number of pictures.
        source = load_source(dataset, split=given.get("split", config.TrainSettings.split))
        dataset, num_images = source.name, source.num_examples
    return config.resolve(given, dataset, num_images)


if __name__ == "__main__":
    command.run(main, config.TrainSettings, _resolve)
