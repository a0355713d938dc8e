"""Exports a run's generator as a SavedModel for TensorFlow Serving.

python -m sagan_tf.export --workdir=runs/digits --name=sagan
"""

import dataclasses
import re
import signal
from pathlib import Path

from sagan_tf import command
from sagan_tf.config import FREE_SETTINGS
from sagan_tf.fields import device_setting, setting


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """What `python -m sagan_tf.export` can be told."""

    workdir: str = setting("runs/digits", "A training run's directory, or digits, which ships.")
    best: bool = setting(False, "The best checkpoint (`--eval_every` of training), not the newest.")
    name: str = setting("sagan", "The model's name: letters, digits, `.`, `_` and `-`.")
    version: str = setting("auto", "A number, or auto: one more than the highest there.")
    export_dir: str = setting("exports", "Holds <name>/<version>/.")
    device: str = device_setting()
    check: str | None = setting(
        None, "Instead: a SavedModel's directory in which to look for what keeps it from serving."
    )


def main(settings: ExportSettings) -> None:
    """Writes `<export_dir>/<name>/<version>/`, or checks a SavedModel."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up, as Ctrl-C does
    if settings.check is not None:
        _check(settings.check)
        return
    if not re.fullmatch(r"[A-Za-z0-9._-]+", settings.name) or settings.name.strip(".") == "":
        raise ValueError(
            f"`--name` expects letters, digits, `.`, `_` and `-`. Received: {settings.name!r}"
        )
    if not settings.export_dir:
        raise ValueError("`--export_dir` must name a directory. Received: ''")
    if settings.version != "auto" and not re.fullmatch("[1-9][0-9]{0,17}", settings.version):
        raise ValueError(
            f"`--version` expects a positive number or auto. Received: {settings.version!r}"
        )
    from sagan_tf import pretrained
    from sagan_tf.run.workdir import load_scores

    description = pretrained.description(settings.workdir)
    base_path = Path(settings.export_dir) / settings.name

    from sagan_tf import sampling
    from sagan_tf.machine import devices
    from sagan_tf.output.files import claimed, explained
    from sagan_tf.serving.model_card import write_model_card
    from sagan_tf.serving.saved_model import versions_in, write_version

    devices.use_device(settings.device)
    print(f"device: {devices.in_words()}")
    generator, step = sampling.restore_generator(settings.workdir, best=settings.best)
    run = {
        name: value
        for name, value in description["settings"].items()
        if name not in FREE_SETTINGS  # paths of this machine among them
    }
    with claimed(base_path, "export_dir"):
        versions = versions_in(base_path)
        if settings.version == "auto":
            version = max(versions, default=0) + 1
        else:
            version = int(settings.version)
        if version in versions:
            raise ValueError(
                f"`--version` {version} of {settings.name} is there already, in {base_path}. "
                "Choose another, or auto."
            )
        print(f"exporting: step {step} of {settings.workdir}", flush=True)
        card = write_model_card(
            settings.name,
            generator,
            step,
            {**description, "settings": run},
            load_scores(settings.workdir),
        )
        with explained(base_path, "export_dir", "again."):
            path = write_version(
                base_path, version, generator, description["class_names"], run, card
            )
    print(f"exported: {path}")


def _check(directory: str) -> None:
    from sagan_tf.serving.lint import find_problems

    problems = find_problems(directory)
    if problems:
        raise ValueError(
            f"{directory} has {len(problems)} problem{'s'[: len(problems) - 1]}:\n"
            + "\n".join(f"  {problem}" for problem in problems)
        )
    print(f"{directory}: nothing keeps it from being served.")


if __name__ == "__main__":
    command.run(main, ExportSettings)
