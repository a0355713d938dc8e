"""Exports a run's generator as a SavedModel for TensorFlow Serving, or for other programs.

python -m sagan_tf.export --workdir=runs/digits --name=sagan
python -m sagan_tf.export --workdir=runs/digits --name=sagan --format=onnx
python -m sagan_tf.export --workdir=runs/digits --name=sagan --format=html
"""

import dataclasses
import importlib
import re
import signal
from pathlib import Path
from typing import Any

from sagan_tf import command
from sagan_tf.config import FREE_SETTINGS
from sagan_tf.extras import extra
from sagan_tf.fields import device_setting, setting, workdir_setting

FORMATS = ("saved_model", "onnx", "tflite", "keras", "html")
# The extras of formats that are not called like it.
_EXTRAS = {"html": "onnx"}


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """Command-line flags of `python -m sagan_tf.export`."""

    workdir: str = workdir_setting()
    best: bool = setting(
        False, "Export the best checkpoint (`--eval_every` of training) instead of the newest."
    )
    format: str = setting(
        "saved_model",
        f"{', '.join(FORMATS)}. All but saved_model are one file, which takes latents; html is a "
        "page on which a browser draws images from seeds.",
        choices=FORMATS,
    )
    int8: bool = setting(
        False,
        "Weights of a TFLite file in 8 bits: <name>.int8.tflite, which takes a third of the space "
        "and whose images differ, by how much is printed.",
    )
    name: str = setting("sagan", "Name of the model: letters, digits, `.`, `_` and `-`.")
    version: str = setting(
        "auto", "Version number of a SavedModel, or auto: one more than the highest existing."
    )
    export_dir: str = setting(
        "exports", "Directory to which <name>/<version>/ or <name>.<format> is written."
    )
    onnxruntime_web: str = setting(
        "node_modules/onnxruntime-web",
        "Folder of the npm package onnxruntime-web, which `--format=html` puts into the page.",
    )
    device: str = device_setting()
    check: str | None = setting(
        None, "Instead of exporting, check a SavedModel's directory for problems with serving."
    )


def main(settings: ExportSettings) -> None:
    """Writes `<export_dir>/<name>/<version>/` or one file, or checks a SavedModel."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up, as Ctrl-C does
    if settings.check is not None:
        _check(settings.check)
        return
    _check_flags(settings)
    if settings.format == "saved_model":
        _write_version(settings)
    else:
        _write_file(settings)


def _check_flags(settings: ExportSettings) -> None:
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
    if settings.int8 and settings.format != "tflite":
        raise ValueError(
            f"`--int8` is for `--format=tflite`. Leave it out. Received: {settings.format!r}"
        )
    if settings.format == "saved_model":
        return
    if settings.version != "auto":
        raise ValueError(
            f"`--version` is for SavedModels; a file of `--format={settings.format}` has its name "
            f"alone. Received: {settings.version!r}"
        )
    if settings.device == "gpu":
        raise ValueError(
            f"`--device` must be auto or cpu for `--format={settings.format}`, which is compared "
            "with the checkpoint to more digits than GPUs keep. Received: 'gpu'"
        )


def _write_version(settings: ExportSettings) -> None:
    exported = _restore(settings, settings.device)

    from sagan_tf.output.files import claimed, explained
    from sagan_tf.serving.exporting.saved_model import versions_in, write_version

    base_path = Path(settings.export_dir) / settings.name
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
        with explained(base_path, "export_dir", "again."):
            difference = write_version(base_path, version, *exported)
    _say(difference, base_path / str(version))


def _write_file(settings: ExportSettings) -> None:
    with extra(_EXTRAS.get(settings.format, settings.format)):
        file_format: Any = importlib.import_module(
            f"sagan_tf.serving.exporting.{settings.format}_format"
        )
    if settings.format == "html":
        runtime = Path(settings.onnxruntime_web)
        file_format.check_runtime(runtime)
        file_format = file_format.Page(runtime, settings.name)
    if settings.int8:
        file_format = file_format.Int8()
    exported = _restore(settings, "cpu")

    from sagan_tf.output.files import claimed, explained
    from sagan_tf.serving.exporting.file_formats import INT8_TOLERANCE, write_file

    directory = Path(settings.export_dir)
    path = directory / f"{settings.name}{'.int8' * settings.int8}.{settings.format}"
    tolerance = INT8_TOLERANCE if settings.int8 else None
    with claimed(directory, "export_dir"):
        if path.exists():
            raise ValueError(
                f"`--name` {settings.name} is taken: {path} is there already. Choose another name, "
                "or move that away."
            )
        with explained(directory, "export_dir", "again."):
            difference = write_file(path, file_format, *exported, tolerance)
    _say(difference, path)


def _say(difference: float, path: Path) -> None:
    print(f"largest difference from the checkpoint's images: {difference:.1e} of the largest value")
    print(f"exported: {path}")


def _restore(settings: ExportSettings, device: str) -> tuple[Any, list[str], dict[str, Any], str]:
    from sagan_tf import pretrained

    pretrained.description(settings.workdir)  # raises an error before anything takes time

    from sagan_tf.machine import devices
    from sagan_tf.serving.exporting.exported_run import restore_run

    devices.use_device(device)
    print(f"device: {devices.in_words()}")
    return restore_run(settings.workdir, settings.name, FREE_SETTINGS, settings.best)


def _check(directory: str) -> None:
    from sagan_tf.serving.exporting.lint import find_problems

    problems = find_problems(directory)
    if problems:
        raise ValueError(
            f"{directory} has {len(problems)} problem{'s'[: len(problems) - 1]}:\n"
            + "\n".join(f"  {problem}" for problem in problems)
        )
    print(f"{directory}: nothing keeps it from being served.")


if __name__ == "__main__":
    command.run(main, ExportSettings)
