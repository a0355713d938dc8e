"""Writes a generator as one file for other programs, checked before it is there."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sagan_tf.class_names import readable
from sagan_tf.models import Generator
from sagan_tf.output.files import check_space, replacing
from sagan_tf.serving.comparison import expected_images
from sagan_tf.serving.folding import FoldedGenerator

# Of the largest value: several times what the order of float32 sums changes.
TOLERANCE = 1e-5
# Beside the batch of all compared images, as files hold for every batch size.
_SMALL_BATCH = 3


class FileFormat(Protocol):
    """What the modules `onnx_format`, `tflite_format` and `keras_format` do."""

    def write(self, path: Path, generator: FoldedGenerator, notes: Mapping[str, str]) -> None:
        """Writes a file with `notes`, texts by file name."""

    def load(self, path: Path) -> Callable[..., np.ndarray]:
        """The function of a file; it takes inputs by name and gives `images`."""


def write_file(
    path: Path,
    file_format: FileFormat,
    generator: Generator,
    class_names: Sequence[str],
    settings: dict[str, Any],
    model_card: str,
) -> float:
    """Writes a file, whole or not at all; what was there before is replaced.

    It holds one function: latents, float32 `(N, latent_dim)`, and `class_id`, int32 `(N,)`, which
    a generator without classes lacks -> images, float32
    `(N, image_size, image_size, channels)` in [-1, 1]. It is loaded under another name, compared
    with the generator in two batch sizes, then renamed.

    Args:
        path: in a directory that exists and belongs to this process.
        file_format: the module that writes and loads it.
        generator: built.
        class_names: one per class.
        settings: of the run.
        model_card: Markdown.

    Returns:
        The largest difference from the generator's images, as a part of their largest value.

    Raises:
        OSError: if it cannot be written.
        RuntimeError: if what was written is not what was meant.
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
    with replacing(path) as temporary:
        file_format.write(temporary, folded, notes)
        difference = _difference(file_format.load(temporary), generator)
        if not difference <= TOLERANCE:  # what is not a number is not greater
            raise RuntimeError(
                f"The exported generator's images differ from the checkpoint's by "
                f"{difference:.2g} of their largest value; {TOLERANCE:.2g} is the most that "
                "rounding explains."
            )
    return difference


def _difference(function: Callable[..., np.ndarray], generator: Generator) -> float:
    inputs, expected = expected_images(generator)
    errors = [
        np.abs(function(**{key: value[:size] for key, value in inputs.items()}) - expected[:size])
        for size in (len(expected), _SMALL_BATCH)
    ]
    return float(np.max(np.concatenate(errors)) / np.abs(expected).max())
