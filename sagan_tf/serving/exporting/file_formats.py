"""Writes a generator as one ONNX, TFLite or Keras file and compares it with the checkpoint."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sagan_tf.class_names import readable
from sagan_tf.models import Generator
from sagan_tf.output.files import check_space, replacing
from sagan_tf.serving.exporting.comparison import TOLERANCE, check_difference, expected_images
from sagan_tf.serving.exporting.folding import FoldedGenerator

# Of weights in 8 bits: less than a broken file differs by, more than any that was seen.
INT8_TOLERANCE = 0.5
# A second batch size, because the files accept any.
_SMALL_BATCH = 3


class FileFormat(Protocol):
    """The functions of the modules `onnx_format`, `tflite_format` and `keras_format`."""

    def write(self, path: Path, generator: FoldedGenerator, notes: Mapping[str, str]) -> None:
        """Writes a file that also holds `notes`, texts by file name."""

    def load(self, path: Path) -> Callable[..., np.ndarray]:
        """Returns the function of a file, which takes inputs by name and returns `images`."""


def write_file(
    path: Path,
    file_format: FileFormat,
    generator: Generator,
    class_names: Sequence[str],
    settings: dict[str, Any],
    model_card: str,
    tolerance: float | None = None,
) -> float:
    """Writes a file, whole or not at all, and replaces a file that exists.

    The file holds one function: `latents`, float32 `(N, latent_dim)`, and `class_id`, int32 `(N,)`
    (absent for a generator without classes) -> `images`, float32
    `(N, image_size, image_size, channels)` in [-1, 1]. The file is written under a temporary name,
    loaded, compared with the generator in two batch sizes, and renamed.

    Args:
        path: the file; its directory must exist, and no other process may write there.
        file_format: the module that writes and loads the file.
        generator: a built generator.
        class_names: one per class.
        settings: settings of the run.
        model_card: model card in Markdown.
        tolerance: largest difference allowed, relative to the largest value; `None` for that of
            float32, `TOLERANCE`.

    Returns:
        The largest difference from the generator's images, relative to their largest value.

    Raises:
        OSError: if the file cannot be written.
        RuntimeError: if weights are not finite or the images differ by more.
    """
    notes = {
        "class_names.json": json.dumps([readable(name) for name in class_names]),
        "settings.json": json.dumps(settings),
        "model_card.md": model_card,
    }
    folded = FoldedGenerator(generator)
    for variable in folded.variables:
        if not np.isfinite(variable).all():
            raise RuntimeError(f"The exported weights {variable.name} are not all finite.")
    needed = 2 * sum(variable.shape.num_elements() * 4 for variable in folded.variables)
    check_space(path.parent, needed, "The generator's weights")
    tolerance = TOLERANCE if tolerance is None else tolerance
    with replacing(path) as temporary:
        file_format.write(temporary, folded, notes)
        difference = _difference(file_format.load(temporary), generator)
        check_difference(difference, tolerance)
    return difference


def _difference(function: Callable[..., np.ndarray], generator: Generator) -> float:
    inputs, expected = expected_images(generator)
    errors = [
        np.abs(function(**{key: value[:size] for key, value in inputs.items()}) - expected[:size])
        for size in (len(expected), _SMALL_BATCH)
    ]
    return float(np.max(np.concatenate(errors)) / np.abs(expected).max())
