"""ONNX files, which ONNX Runtime runs in Python, C++, C#, Java, JavaScript and on phones."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tf2onnx

from sagan_tf.serving.exporting.folding import FoldedGenerator

# ONNX Runtime reads it since version 1.14 of February 2023.
OPSET = 18


def write(path: Path, generator: FoldedGenerator, notes: Mapping[str, str]) -> None:
    """Writes the generator, with `notes` by file name as `metadata_props`."""
    function = generator.as_function()
    model, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=OPSET)
    model.graph.name = "generator"
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    for name, text in notes.items():
        model.metadata_props.add(key=name, value=text)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def load(path: Path) -> Callable[..., np.ndarray]:
    """Returns the function of a file, which takes inputs by name and returns `images`."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda **inputs: session.run(["images"], inputs)[0]
