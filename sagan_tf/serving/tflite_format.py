"""TFLite: a file for LiteRT, which runs on phones and small devices."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from sagan_tf.serving.folding import FoldedGenerator


def write(path: Path, generator: FoldedGenerator, notes: Mapping[str, str]) -> None:
    """Writes the generator's function in float32 and `notes`, by file name.

    Notes are appended as a ZIP file, where TFLite keeps the files that belong to a model
    (https://ai.google.dev/edge/litert/models/metadata, "associated files").
    """
    function = generator.as_function().get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], generator)
    path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in notes.items():
            archive.writestr(name, text)


def load(path: Path) -> Callable[..., np.ndarray]:
    """The function of a file; it takes inputs by name and gives `images`."""
    run = Interpreter(str(path)).get_signature_runner()
    return lambda **inputs: run(**inputs)["images"]
