"""Trains a SAGAN.

python -m sagan_tf.train --dataset=imagenet2012 --workdir=runs/imagenet

If the workdir holds a run, it is resumed. `--dry_run` prints settings and costs and stops.
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

    from sagan_tf.data import Source
    from sagan_tf.machine.team import Team
    from sagan_tf.training.trainer import SAGAN


def main(resolved: tuple[config.TrainSettings, dict[str, str]]) -> None:
    """Trains until `--steps`, or prints what training would cost."""
    settings, sources = resolved
    if settings.dry_run:
        _report_costs(settings, sources)
        return
    from sagan_tf.machine.cluster import find_cluster
    from sagan_tf.machine.devices import in_words
    from sagan_tf.machine.team import Team, code_facts
    from sagan_tf.output import files
    from sagan_tf.training import resuming
    from sagan_tf.training.build import make_sagan, make_strategy
    from sagan_tf.training.session import Session

    cluster = find_cluster()
    strategy = make_strategy(settings, cluster)
    team = Team(strategy, cluster)
    replicas = strategy.num_replicas_in_sync
    _check_batch(settings, replicas)
    assert settings.workdir is not None  # since settings were resolved
    workdir = Path(settings.workdir)
    claimed = files.claimed(workdir, "workdir") if team.is_chief else contextlib.nullcontext()
    with contextlib.ExitStack() as stack, team.complete(), claimed:
        team.agree(code_facts() | resuming.as_json(settings))
        source, settings = _data(settings, team, workdir)
        enough_memory = _enough_memory(settings, source, replicas, replicas // team.size)
        with enough_memory, files.explained(workdir, "workdir"):
            with strategy.scope():
                sagan = make_sagan(settings, source, _label_weights(settings, source))
            if team.is_chief:
                _print_choices(settings, sources, workdir)
                print(f"device: {in_words()}, {_replicas(replicas, team.size)}")
                if sagan.xla and settings.xla is None:
                    print(
                        "XLA compiles the step first, which takes 4 minutes at 128 pixels, or one "
                        "if it was compiled before, and makes it 2 to 4 times as fast; --noxla "
                        "starts at once"
                    )
            session = Session(settings, strategy, team, source, sagan, workdir)
            with _keeping_compiled(settings, sagan, replicas):
                step, stopped = session.train()
            # All is saved, so a scheduler's late SIGTERM must not make the run look failed.
            handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
            stack.callback(signal.signal, signal.SIGTERM, handler)
            for name in ("samples", "checkpoints", "tensorboard"):
                session.say(f"{name}: {workdir / name}")
    if stopped:
        print(f"stopped at step {step}; the same command goes on from there", file=sys.stderr)
        sys.exit(128 + stopped)


def _keeping_compiled(
    settings: config.TrainSettings, sagan: "SAGAN", replicas: int
) -> contextlib.AbstractContextManager[None]:
    """Keeps what XLA compiles for a single GPU; for several replicas it has not been tried."""
    import tensorflow as tf

    from sagan_tf.machine import compiled, devices

    if not sagan.xla or replicas > 1 or not tf.config.get_visible_devices("GPU"):
        return contextlib.nullcontext()
    return compiled.kept(Path(settings.cache_dir).expanduser(), devices.in_words())


def _replicas(replicas: int, machines: int) -> str:
    here = f"{replicas} replica{'' if replicas == 1 else 's'}"
    return here if machines == 1 else f"{here} on {machines} machines"


def _report_costs(settings: config.TrainSettings, sources: dict[str, str]) -> None:
    from sagan_tf.data import describe_source
    from sagan_tf.training import dry_run, resuming

    described = describe_source(
        settings.dataset,
        settings.data_dir,
        settings.split,
        settings.image_size,
        settings.background,
    )
    if settings.init_from and not resuming.holds_run(settings):
        resuming.check_init_from(settings, settings.init_from)
        resuming.check_channels(settings.init_from, described)
    dry_run.report(settings, sources, described)


def _data(
    settings: config.TrainSettings, team: "Team", workdir: Path
) -> "tuple[Source, config.TrainSettings]":
    """The data set, after checking that the workdir's run may be resumed with it.

    Also the settings, in which a resumed run keeps the origin of its weights.
    """
    from sagan_tf.data import check_source, load_source
    from sagan_tf.training import resuming

    before = resuming.check_workdir(settings, workdir)
    if settings.init_from and before is None:
        resuming.check_init_from(settings, settings.init_from)  # before anything is built
    with team.chief_first():  # the chief downloads and prepares the data set
        source = load_source(
            settings.dataset,
            settings.data_dir,
            settings.split,
            settings.image_size,
            settings.background,
        )
    if settings.init_from and before is None:
        resuming.check_channels(settings.init_from, source)
    notes = [] if before is None else resuming.check_data(settings, source, workdir, before)
    if team.is_chief:
        for note in notes:
            print(note)
        print(check_source(source, settings.image_size, settings.seed, settings.global_batch_size))
    if before is not None:
        settings = dataclasses.replace(settings, init_from=before["init_from"])
    return source, settings


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
    """Raises `ValueError` if the run cannot fit into memory, and explains out-of-memory errors."""
    import tensorflow as tf

    from sagan_tf.machine import memory
    from sagan_tf.training import cost
    from sagan_tf.training.build import make_networks

    part = settings.global_batch_size // replicas // settings.gradient_accumulation
    available = memory.available_bytes(replicas_here)
    kept = settings.averaged, int(settings.consistency_weight > 0)

    def networks() -> tuple[Any, Any]:
        with tf.device("CPU"):  # only shapes are needed, and a GPU may be full
            return make_networks(settings, source)

    def question() -> tuple[Any, ...]:
        needed = cost.training_memory(*networks(), *kept)
        batch_size = settings.global_batch_size // replicas
        return needed, batch_size, settings.gradient_accumulation, available

    # The cheap upper bound comes first, because tracing for a better estimate takes seconds.
    if available is None or cost.training_bytes_at_most(*networks(), part, *kept) > available:
        memory.check(*question())
    with memory.explained(lambda: memory.complaint(*question())):
        yield


def _label_weights(settings: config.TrainSettings, source: "Source") -> "np.ndarray | None":
    """Relative frequency of each class among generated images; `None` for equal frequencies."""
    if settings.label_distribution == "uniform" or settings.class_balanced:
        return None
    from sagan_tf.data import class_counts

    counts = class_counts(source)
    return None if (counts == counts[0]).all() else counts


def _print_choices(settings: config.TrainSettings, sources: dict[str, str], workdir: Path) -> None:
    """Prints the preset, and the settings that differ from it."""
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


def resolve(given: dict[str, Any]) -> tuple[config.TrainSettings, dict[str, str]]:
    """The settings for `main`, from given values, a preset and defaults.

    Args:
        given: settings by name, as in `{"dataset": "folder:pictures", "steps": 2000}`. The preset
            of a folder depends on the number of its pictures, so they are counted.

    Returns:
        The settings, and the source of each value by name; see `config.resolve`.

    Raises:
        ValueError: in the same cases as `config.resolve`, and for a folder that cannot be read.
    """
    dataset = given.get("dataset", config.TrainSettings.dataset)
    source_name = num_images = None
    if str(dataset).startswith(("prepared:", "folder:")):
        startup.import_tensorflow()  # quietly; the next imports would print its messages
        from sagan_tf.data import load_source
        from sagan_tf.training.resuming import last_place

        # The preset depends on the data set that was prepared, or on the number of pictures.
        workdir = given.get("workdir") or config.default_workdir(dataset)
        try:
            source = load_source(dataset, split=given.get("split", config.TrainSettings.split))
        except ValueError as error:
            raise ValueError(f"{error}{last_place(workdir, dataset)}") from error
        source_name, num_images = source.name, source.num_examples
    return config.resolve(given, source_name=source_name, num_images=num_images)


if __name__ == "__main__":
    command.run(main, config.TrainSettings, resolve)
