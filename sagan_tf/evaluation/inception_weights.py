"""Finds, downloads and loads the weights of the 2015 Inception network.

The weights are Google's, under the Apache licence 2.0, and not part of this package: by default
they are downloaded once, in PyTorch's format. Both formats hold batch norm as it was trained; it is
folded into the convolutions in float64.
"""

import hashlib
import math
import os
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from google.protobuf.message import DecodeError
from tensorflow.core.framework import graph_pb2

from sagan_tf.evaluation.inception_network import graph_scopes
from sagan_tf.published.torch_files import read_state_dict

VARIABLE = "SAGAN_TF_INCEPTION"
FILE_NAME = "pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
# The same bytes, as pytorch-fid and torch-fidelity publish them.
ADDRESSES = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/" + FILE_NAME,
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
)

_FOLDER = "sagan_tf"
# Epsilon of every batch norm, in both formats.
_EPSILON = 1e-3
# Suffixes of the array names of a layer: first of a convolution (kernel, gamma, beta, mean,
# variance), then of the dense layer (kernel, bias).
_TORCH_ENDINGS = (
    (".conv.weight", ".bn.weight", ".bn.bias", ".bn.running_mean", ".bn.running_var"),
    ("fc.weight", "fc.bias"),
)
_GRAPH_ENDINGS = (
    (
        "/conv2d_params",
        "/batchnorm/gamma",
        "/batchnorm/beta",
        "/batchnorm/moving_mean",
        "/batchnorm/moving_variance",
    ),
    ("softmax/weights", "softmax/biases"),
)
# Transpositions of PyTorch's (out, in, height, width) and (out, in), by the number of axes.
_TORCH_AXES = {4: (2, 3, 1, 0), 2: (1, 0)}
_TORCH_COUNTER = ".bn.num_batches_tracked"  # inference does not need it


class MissingWeights(ValueError):  # noqa: N818 - the name says what happened
    """The weights are missing and cannot be downloaded."""


def find_weights(weights: str | os.PathLike | None = None) -> Path:
    """The file of weights: the given one, that of `SAGAN_TF_INCEPTION`, or the published file.

    The published file (96 MB) is downloaded once into `sagan_tf` in Keras's folder (`~/.keras` or
    `$KERAS_HOME`), and used only if its SHA-256 is correct.

    Args:
        weights: path of a file; `None` for the environment variable or the published file.

    Raises:
        MissingWeights: if the file does not exist or cannot be downloaded.
    """
    path = weights or os.environ.get(VARIABLE)
    if not path:
        return _download()
    if not Path(path).is_file():
        origin = "`weights`" if weights else f"`{VARIABLE}`"
        raise MissingWeights(f"{origin} must be the path of a file. Received: {os.fspath(path)}")
    return Path(path)


def _download() -> Path:
    problems = []
    for address in ADDRESSES:
        try:
            path = keras.utils.get_file(
                FILE_NAME,
                address,
                file_hash=SHA256,
                hash_algorithm="sha256",
                cache_subdir=_FOLDER,
            )
        except Exception as error:  # Keras raises Exception itself.
            problems.append(f"{address} ({error})")
            continue
        logging.info("Inception weights: Google, Apache licence 2.0; %s", path)
        return Path(path)
    raise MissingWeights(
        "The Inception weights cannot be downloaded: " + "; ".join(problems) + ". Bring the file "
        f"here by other means (its SHA-256 is {SHA256}) and set {VARIABLE} to its path."
    )


def fingerprint(path: str | os.PathLike) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(network: keras.Model, path: str | os.PathLike) -> None:
    """Sets the weights of a network that `build_network` made.

    Args:
        network: the network.
        path: file of weights, a frozen graph if its name ends in `.pb`, else in PyTorch's format.

    Raises:
        ValueError: for a damaged file; the message names arrays that are missing, unknown, of
            another shape or not finite.
    """
    path = Path(path)
    scopes = graph_scopes()
    if path.suffix == ".pb":
        arrays = _read_graph(path)
        convolution, dense = _GRAPH_ENDINGS
        names = {layer: [scope + end for end in convolution] for layer, scope in scopes.items()}
    else:
        arrays = _read_torch(path)
        convolution, dense = _TORCH_ENDINGS
        names = {layer: [layer + end for end in convolution] for layer in scopes}
    names["fc"] = list(dense)
    _check(path, arrays, network, names)
    for layer, (kernel, *others) in names.items():
        values = [np.asarray(arrays[name], np.float64) for name in (kernel, *others)]
        if layer == "fc":
            network.get_layer("fc").set_weights(values[:1])
            network.get_layer("fc_bias").set_weights(values[1:])
        else:
            network.get_layer(layer).set_weights(folded(*values))


def folded(
    kernel: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of the convolution that equals a convolution without bias and batch norm.

    These compute gamma * (x * K - mean) / sqrt(variance + epsilon) + beta, which is linear in the
    kernel K.
    """
    scale = gamma / np.sqrt(variance + _EPSILON)
    return kernel * scale, beta - mean * scale


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    """Arrays by their PyTorch names, with the axes in Keras's order."""
    return {
        name: np.transpose(array, _TORCH_AXES.get(array.ndim))
        for name, array in read_state_dict(path).items()
        if isinstance(array, np.ndarray) and not str(name).endswith(_TORCH_COUNTER)
    }


def _read_graph(path: Path) -> dict[str, np.ndarray]:
    """The weights of a frozen graph, by the names of their constant nodes."""
    data = path.read_bytes()
    try:
        graph = graph_pb2.GraphDef.FromString(data)
    except DecodeError as error:
        raise ValueError(f"`path` {path} is no whole frozen graph: {error}") from error
    convolution, dense = _GRAPH_ENDINGS
    arrays = {}
    for node in graph.node:
        if node.op == "Const" and node.name.endswith(convolution + dense):
            tensor = node.attr["value"].tensor
            size = math.prod(dimension.size for dimension in tensor.tensor_shape.dim)
            if size > len(data):  # a single value may stand for the whole tensor
                raise ValueError(f"`path` {path} has {size} numbers in {node.name}.")
            arrays[node.name] = tf.make_ndarray(tensor)
    return arrays


def _check(
    path: Path,
    arrays: dict[str, np.ndarray],
    network: keras.Model,
    names: dict[str, list[str]],
) -> None:
    shapes = {}
    for layer, (kernel, *others) in names.items():
        shapes[kernel] = tuple(network.get_layer(layer).kernel.shape)
        shapes |= dict.fromkeys(others, shapes[kernel][-1:])
    shared = [name for name in shapes if name in arrays]
    fitting = [name for name in shared if np.shape(arrays[name]) == shapes[name]]
    problems = {
        "missing": [name for name in shapes if name not in arrays],
        "unknown": [name for name in arrays if name not in shapes],
        "of another shape": [
            f"{name} {np.shape(arrays[name])} instead of {shapes[name]}"
            for name in shared
            if name not in fitting
        ],
        "not finite": [name for name in fitting if not np.all(np.isfinite(arrays[name]))],
    }
    found = "; ".join(
        f"{what}: {', '.join(map(str, which[:4]))}{', ...' if which[4:] else ''} ({len(which)})"
        for what, which in problems.items()
        if which
    )
    if found:
        raise ValueError(
            f"`path` {path} holds other weights than those of the 2015 Inception network; {found}. "
            f"The published file is {FILE_NAME}; leave the path out to download it."
        )
