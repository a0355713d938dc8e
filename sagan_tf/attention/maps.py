"""Attention maps of any Keras model: what each position of an image attends to."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from sagan_tf.layers import SelfAttention2D
from sagan_tf.layers.nested import layers_of_kind

# Scores computed at a time: 64 MiB of float32, or the scores of one image if they are more.
_SCORES_AT_A_TIME = 2**24


def attention_layers(model: keras.layers.Layer) -> dict[str, SelfAttention2D]:
    """A model's attention layers by path, at any depth of nesting.

    Layers of nested models may share a path; the second one's key then ends in `:1`.
    """
    layers: dict[str, SelfAttention2D] = {}
    for layer in layers_of_kind(model, SelfAttention2D):
        path = layer.path or layer.name  # a layer that was never called has no path
        same = sum(other.partition(":")[0] == path for other in layers)
        layers[f"{path}:{same}" if same else path] = layer
    return layers


def attention_maps(
    model: keras.Model,
    inputs: Any,
    points: Any = None,
    layers: Iterable[str] | None = None,
) -> dict[str, np.ndarray]:
    """Attention scores from points of images to all positions, for each attention layer of a model.

    The model runs once, in inference mode. Keys have a grid of their own, pooled by the layer's
    `pool_size`; `overlay.overlay` lays a map over an image.

    Args:
        model: a model with `SelfAttention2D` layers: functional, sequential, subclassed or nested.
        inputs: argument of the model's call; a tuple holds several arguments, such as a
            generator's latents and labels.
        points: query points, integers `(P, 2)`, or `(N, P, 2)` for different points in each image:
            row and column in pixels. The image is the first argument with four axes, or else the
            model's output. `None` returns the maps of all positions.
        layers: paths of the layers whose maps to return; `None` for all.

    Returns:
        float32 `(N, P, Hk, Wk)` by the layer's path; without points `(N, H, W, Hk, Wk)`, one map
        for each position of the layer's own input. Each map sums to 1. If a layer is called
        several times, the maps are those of its last call.

    Raises:
        ValueError: for a model without attention, an unknown layer, a layer that the model does
            not call, or a point outside the image.

    Example:

    >>> from sagan_tf.models import Discriminator
    >>> discriminator = Discriminator(16, None, base_filters=8, attention_resolutions=(8,))
    >>> images = keras.ops.zeros((2, 16, 16, 3))
    >>> maps = attention_maps(discriminator, images, points=[(0, 0), (12, 8), (15, 15)])
    >>> {path: map.shape for path, map in maps.items()}
    {'discriminator/attention_8x8': (2, 3, 4, 4)}
    """
    arguments, inside, outputs = run_noting(model, inputs, layers)
    if points is not None:
        image_size = _image_size((*arguments, outputs))
        points = _checked_points(points, image_size, len(next(iter(inside.values()))[1]))
    maps: dict[str, np.ndarray] = {}
    for path, (layer, hidden) in inside.items():
        parts, start = [], 0
        for _, _, scores in scored(layer, hidden):
            if points is not None:
                scores = maps_at(scores, points[start : start + len(scores)], image_size)
            parts.append(scores)
            start += len(scores)
        maps[path] = np.concatenate(parts)
    return maps


def maps_at(scores: np.ndarray, points: Any, image_size: tuple[int, int]) -> np.ndarray:
    """The attention maps of pixels, taken from the cells of the feature map that contain them.

    Args:
        scores: `(N, H, W, Hk, Wk)`, as `attention_maps` returns them without points.
        points: `(P, 2)` or `(N, P, 2)`, see `attention_maps`.
        image_size: height and width of the images.

    Returns:
        `(N, P, Hk, Wk)`.

    Raises:
        ValueError: for a point outside the image.
    """
    points = _checked_points(points, image_size, len(scores))
    cells = points * scores.shape[1:3] // image_size
    return scores[np.arange(len(scores))[:, None], cells[..., 0], cells[..., 1]]


def run_noting(
    model: keras.Model, inputs: Any, layers: Iterable[str] | None = None
) -> tuple[tuple[Any, ...], dict[str, tuple[SelfAttention2D, Any]], Any]:
    """Runs a model and records the inputs of its attention layers.

    Args:
        model: see `attention_maps`.
        inputs: see `attention_maps`.
        layers: see `attention_maps`.

    Returns:
        The model's arguments, each layer with its input `(N, H, W, C)` by the layer's path, and
        the model's outputs.

    Raises:
        ValueError: see `attention_maps`.
    """
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    if not model.built:
        model(*arguments)  # a subclassed model may create its layers in its first call
    chosen = _chosen_layers(model, layers)
    with _noting(chosen) as noted:
        outputs = model(*arguments)
    missing = chosen.keys() - noted.keys()
    if missing:
        raise ValueError(
            "`layers` must be called by the model, in Python: a call inside a `tf.function` that "
            f"was traced before is not seen. Received: {sorted(missing)}, which were not called. "
            "Name the others."
        )
    return arguments, {path: (layer, noted[path]) for path, layer in chosen.items()}, outputs


def scored(layer: SelfAttention2D, hidden: Any) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields a layer's inputs, outputs and scores for a few images at a time, as float32 arrays.

    All scores at once would need more memory than training with chunks of queries does.
    """
    height, width = hidden.shape[1:3]
    of_image = height * width * -(-height // layer.pool_size) * -(-width // layer.pool_size)
    step = max(1, _SCORES_AT_A_TIME // of_image)
    for start in range(0, hidden.shape[0], step):
        part = hidden[start : start + step]
        outputs, scores = layer(part, return_attention_scores=True)
        yield tuple(
            ops.convert_to_numpy(ops.cast(value, "float32")) for value in (part, outputs, scores)
        )


def _chosen_layers(
    model: keras.Model, layers: Iterable[str] | None
) -> Mapping[str, SelfAttention2D]:
    available = attention_layers(model)
    if not available:
        raise ValueError(
            "`model` must have a `SelfAttention2D` layer. Received: "
            f"{model.name}, which has none. Train with `--attention_resolutions`, or add the layer."
        )
    if layers is None:
        return available
    layers = [layers] if isinstance(layers, str) else list(layers)
    unknown = [path for path in layers if path not in available]
    if unknown:
        raise ValueError(f"`layers` must be among {list(available)}. Received: {unknown}")
    return {path: layer for path, layer in available.items() if path in layers}


@contextlib.contextmanager
def _noting(layers: Mapping[str, SelfAttention2D]) -> Iterator[dict[str, Any]]:
    """Records each layer's input by path while the context is active."""
    noted: dict[str, Any] = {}

    def noting(path: str, call: Any) -> Any:
        def noting_call(inputs: Any, *arguments: Any, **options: Any) -> Any:
            noted[path] = inputs
            return call(inputs, *arguments, **options)

        return noting_call

    for path, layer in layers.items():
        # This replaces the method of one object; `del` below brings the class's method back.
        layer.call = noting(path, layer.call)  # type: ignore[method-assign]
    try:
        yield noted
    finally:
        for layer in layers.values():
            del layer.call


def _image_size(values: Sequence[Any]) -> tuple[int, int]:
    """Height and width of the first value that is a batch of images."""
    for value in values:
        shape = tuple(getattr(value, "shape", ()))
        if len(shape) == 4:
            return shape[1], shape[2]
    raise ValueError(
        "`points` need images `(N, H, W, C)` among the model's arguments or as its output. "
        f"Received: {[tuple(getattr(value, 'shape', ())) for value in values]}. Leave `points` out "
        "and use `maps_at`."
    )


def _checked_points(points: Any, image_size: tuple[int, int], num_images: int) -> np.ndarray:
    """Points as `(N, P, 2)`."""
    points = np.asarray(points)
    if points.ndim not in (2, 3) or points.shape[-1] != 2 or points.dtype.kind not in "iu":
        raise ValueError(
            "`points` must be whole numbers of shape (P, 2) or (N, P, 2), row and column in pixels."
            f" Received: {points.dtype} {points.shape}"
        )
    outside = points[((points < 0) | (points >= image_size)).any(axis=-1)]
    if len(outside):
        raise ValueError(
            f"`points` (row, column) must lie in the image, rows in [0, {image_size[0]}), columns "
            f"in [0, {image_size[1]}). Received: {tuple(outside[0].tolist())}"
        )
    if points.ndim == 3 and len(points) != num_images:
        raise ValueError(
            f"`points` of shape (N, P, 2) must be as many as the {num_images} images. Received: "
            f"{len(points)}"
        )
    return np.broadcast_to(points, (num_images, *points.shape[-2:]))
