"""Warm-up requests, which a server runs after it has loaded a model and before it serves it.

If such a request fails, the version is not served, so they also guard against models that load but
cannot run.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from sagan_tf.serving.server.protobufs import PredictionLog

# The path is from TensorFlow Serving's documentation, `saved_model_warmup.md`.
WARM_UP_PATH = Path("assets.extra") / "tf_serving_warmup_requests"

Inputs = Mapping[str, np.ndarray]


def write_requests(
    directory: str | os.PathLike, requests: Sequence[tuple[str, Inputs]], model_name: str
) -> None:
    """Writes requests beside a SavedModel.

    Args:
        directory: directory of the version.
        requests: pairs of signature name and inputs.
        model_name: name of the model, which servers ignore.
    """
    path = Path(directory) / WARM_UP_PATH
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature_name, inputs in requests:
            log = PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature_name
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def read_requests(directory: str | os.PathLike) -> Iterator[tuple[str, Inputs]]:
    """Yields the pairs that `write_requests` wrote; none if there is no file."""
    path = Path(directory) / WARM_UP_PATH
    if not path.is_file():
        return
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        yield request.model_spec.signature_name, inputs
