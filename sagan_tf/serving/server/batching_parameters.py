"""Reads TensorFlow Serving's file of batching parameters."""

import dataclasses
import os
from pathlib import Path

from google.protobuf import text_format

from sagan_tf.serving.server import protobufs
from sagan_tf.serving.server.batching import BatchingParameters


def read_parameters(path: str | os.PathLike) -> BatchingParameters:
    """Reads `BatchingParameters` in text format, as `tensorflow_model_server` does.

    Raises:
        ValueError: if the file cannot be read, or if a value is out of range.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        parsed = text_format.Parse(text, protobufs.BatchingParameters(), allow_unknown_field=True)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ValueError(f"`--batching_parameters_file` {path} cannot be read: {error}") from None
    given = {
        field.name: getattr(parsed, field.name).value
        for field in dataclasses.fields(BatchingParameters)
        if field.name != "allowed_batch_sizes" and parsed.HasField(field.name)
    }
    parameters = BatchingParameters(**given, allowed_batch_sizes=tuple(parsed.allowed_batch_sizes))
    sizes = parameters.allowed_batch_sizes
    least = {"batch_timeout_micros": 0}
    for name, value in given.items():
        if value < least.get(name, 1):
            raise ValueError(
                f"`{name}` must be at least {least.get(name, 1)} in {path}. Received: {value}"
            )
    if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != parameters.max_batch_size):
        raise ValueError(
            f"`allowed_batch_sizes` in {path} must ascend to `max_batch_size`, "
            f"{parameters.max_batch_size}. Received: {list(sizes)}"
        )
    return parameters
