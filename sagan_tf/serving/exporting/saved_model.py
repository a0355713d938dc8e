"""Writes a generator as a version for TensorFlow Serving, which appears only after all checks."""

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sagan_tf.class_names import readable
from sagan_tf.latent import NUM_DIRECTIONS
from sagan_tf.latent.directions import directions
from sagan_tf.models import Generator
from sagan_tf.output.files import check_space
from sagan_tf.run.checkpoint import as_os_error
from sagan_tf.serving.exporting.comparison import TOLERANCE, check_difference, expected_images
from sagan_tf.serving.exporting.folding import FoldedGenerator
from sagan_tf.serving.exporting.lint import find_problems
from sagan_tf.serving.exporting.signatures import example_inputs, make_signatures
from sagan_tf.serving.exporting.warmup import read_requests, write_requests

CLASS_NAMES = Path("assets.extra") / "class_names.json"
SETTINGS = Path("assets.extra") / "settings.json"
MODEL_CARD = "model_card.md"

WARM_UP_BATCH_SIZES = 1, 2, 8
# Half a level of 255: GPUs multiply float32 with fewer digits, which one cannot see.
_GPU_TOLERANCE = 1 / 255
# Not a number, so that TensorFlow Serving ignores the directory.
_UNFINISHED = "unfinished"


def versions_in(base_path: str | os.PathLike) -> list[int]:
    """Returns the versions in a model's base path, ascending: directories named by a number."""
    if not Path(base_path).is_dir():
        return []
    return sorted(
        int(path.name)
        for path in Path(base_path).iterdir()
        if re.fullmatch("0|[1-9][0-9]{0,17}", path.name) and path.is_dir()
    )


def write_version(
    base_path: str | os.PathLike,
    version: int,
    generator: Generator,
    class_names: Sequence[str],
    settings: dict[str, Any],
    model_card: str,
) -> float:
    """Writes `<base_path>/<version>`, complete or not at all.

    The version is written under another name, loaded from there, run on every warm-up request,
    compared with the generator, and only then renamed.

    Args:
        base_path: directory of the model; it must exist, and no other process may write there.
        version: positive number of a version that does not exist yet.
        generator: a built generator.
        class_names: one name per class; empty for a generator without classes.
        settings: settings of the run, which are stored as JSON.
        model_card: text of the card, in Markdown.

    Returns:
        The largest difference from the generator's images, relative to their largest value.

    Raises:
        OSError: if the version cannot be written.
        ValueError: if weights of the generator's first layer are not finite.
        RuntimeError: if the version has a problem, a value that is not finite, or images that
            differ from the generator's.
    """
    base_path = Path(base_path)
    class_names = [readable(name) for name in class_names]  # graph and JSON must be UTF-8
    for path in base_path.glob(f"{_UNFINISHED}*"):  # left by a process that was killed
        shutil.rmtree(path)
    temporary = base_path / f"{_UNFINISHED}-{version}"
    needed = 2 * sum(int(np.prod(v.shape)) * 4 for v in generator.variables)
    check_space(base_path, needed, "The generator's weights")
    try:
        _write(temporary, base_path.name, generator, class_names)
        _write_json(temporary / CLASS_NAMES, list(class_names))
        _write_json(temporary / SETTINGS, settings)
        (temporary / MODEL_CARD).write_text(model_card, encoding="utf-8")
        difference = _check(temporary, generator)
        temporary.rename(base_path / str(version))
    except tf.errors.OpError as error:
        raise as_os_error(error, base_path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return difference


def _write(directory: Path, name: str, generator: Generator, class_names: Sequence[str]) -> None:
    folded = FoldedGenerator(generator)
    first = directions(generator, min(NUM_DIRECTIONS, generator.latent_dim))
    signatures = make_signatures(folded, class_names, first)
    tf.saved_model.save(folded, str(directory), signatures=signatures)
    requests = [
        (signature_name, example_inputs(signature.input_signature, batch_size))
        for signature_name, signature in signatures.items()
        for batch_size in WARM_UP_BATCH_SIZES
    ]
    write_requests(directory, requests, name)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _check(directory: Path, generator: Generator) -> float:
    problems = find_problems(directory)
    if problems:
        raise RuntimeError(f"The export cannot be served well: {' '.join(problems)}")
    signatures = tf.saved_model.load(str(directory)).signatures
    for name, inputs in read_requests(directory):
        outputs = signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        for key, value in outputs.items():
            if value.dtype.is_floating and not np.isfinite(value).all():
                raise RuntimeError(f"Signature `{name}` gives `{key}` that is not finite.")
    reader = tf.train.load_checkpoint(str(directory / "variables" / "variables"))
    for name in reader.get_variable_to_shape_map():
        value = np.asarray(reader.get_tensor(name))
        if value.dtype == np.float32 and not np.isfinite(value).all():
            raise RuntimeError(f"The exported weights {name} are not all finite.")
    inputs, expected = expected_images(generator)
    outputs = signatures["from_latent"](**{key: tf.constant(inputs[key]) for key in inputs})
    difference = float(np.abs(outputs["images"] - expected).max() / np.abs(expected).max())
    on_gpu = bool(tf.config.get_visible_devices("GPU"))
    check_difference(difference, _GPU_TOLERANCE if on_gpu else TOLERANCE)
    return difference
