"""TFLite files, which LiteRT (formerly TensorFlow Lite) runs on phones and small devices."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from sagan_tf.serving.exporting.folding import FoldedGenerator


def write(path: Path, generator: FoldedGenerator, notes: Mapping[str, str]) -> None:
    """Writes the generator in float32, with `notes` by file name.

    The notes are appended as a ZIP archive, as TFLite's metadata do with a model's "associated
    files" (https://ai.google.dev/edge/litert/models/metadata); interpreters ignore it.
    """
    _write(path, generator, notes, [])


class Int8:
    """The format with large kernels in 8 bits, which takes a third of the space.

    LiteRT's dynamic range quantization: one scale per filter, activations stay float32.
    """

    def write(self, path: Path, generator: FoldedGenerator, notes: Mapping[str, str]) -> None:
        """Writes the generator, see `write`."""
        _write(path, generator, notes, [tf.lite.Optimize.DEFAULT])

    def load(self, path: Path) -> Callable[..., np.ndarray]:
        """Returns the function of a file, see `load`."""
        return load(path)


def _write(
    path: Path,
    generator: FoldedGenerator,
    notes: Mapping[str, str],
    optimizations: list[tf.lite.Optimize],
) -> None:
    function = generator.as_function().get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], generator)
    converter.optimizations = optimizations
    path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in notes.items():
            archive.writestr(name, text)


def load(path: Path) -> Callable[..., np.ndarray]:
    """Returns the function of a file, which takes inputs by name and returns `images`."""
    run = Interpreter(str(path)).get_signature_runner()
    return lambda **inputs: run(**inputs)["images"]
