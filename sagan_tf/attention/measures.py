"""Five numbers that describe what an attention layer does."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from sagan_tf.attention.maps import run_noting, scored
from sagan_tf.layers.self_attention import query_key_distances


def attention_measures(
    model: keras.Model, inputs: Any, layers: Iterable[str] | None = None
) -> dict[str, dict[str, float]]:
    """How far and how widely each attention layer of a model attends, and how much it adds.

    Args:
        model: see `attention_maps`.
        inputs: see `attention_maps`.
        layers: see `attention_maps`.

    Returns:
        By the layer's path, the means over images of `score_measures`, and `usage`: the norm of
        `gamma * attention(x)`, which attention adds, relative to the norm of `x`. The other
        numbers mean little where `usage` is near 0, as at the start of training.

    Raises:
        ValueError: see `attention_maps`.
    """
    _, inside, _ = run_noting(model, inputs, layers)
    measures = {}
    for path, (layer, hidden) in inside.items():
        of_images: dict[str, list[float]] = {}
        for part, outputs, scores in scored(layer, hidden):
            of_part = {**_image_measures(scores, layer.pool_size), "usage": _usage(part, outputs)}
            for name, values in of_part.items():
                of_images.setdefault(name, []).extend(values)
        measures[path] = {name: float(np.mean(values)) for name, values in of_images.items()}
    return measures


def score_measures(scores: np.ndarray, pool_size: int) -> dict[str, float]:
    """How far and how widely attention scores spread, as means over images and queries.

    Distances are measured between the centres of cells, in cells of the layer's map.

    Args:
        scores: `(N, H, W, Hk, Wk)`, which sum to 1 over the last two axes.
        pool_size: the layer's `pool_size`, by which its keys are pooled.

    Returns:
        `distance`, the mean distance relative to that of uniform attention; `entropy`, relative to
        its largest value, so that uniform attention has 1 and attention to a single key 0;
        `effective_keys`, the exponential of the entropy; and `far_mass`, the share of attention
        that goes farther than a quarter of the map's longer side.
    """
    return {
        name: float(values.mean()) for name, values in _image_measures(scores, pool_size).items()
    }


def partner_lift(scores: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """How much more two parts of an image attend to each other than their areas would explain.

    Args:
        scores: `(N, H, W, Hk, Wk)`, as `attention_maps` returns them.
        parts: bool `(N, 2, S, S)`, the pixels of each part; S is a multiple of H, W, Hk and Wk.

    Returns:
        float64 `(N,)`: the attention from one part to the other, divided by the other's share of
        the image's area; the mean of both directions. Uniform attention has 1. NaN where a part is
        missing.
    """
    from_parts = _shares(parts, *scores.shape[1:3])
    to_parts = _shares(parts, *scores.shape[3:])
    lifts = []
    for source, target in ((0, 1), (1, 0)):
        weights, covered = from_parts[:, source], to_parts[:, target]
        attended = np.einsum("nhw,nhwkl,nkl->n", weights, scores, covered)
        expected = weights.sum(axis=(1, 2)) * covered.mean(axis=(1, 2))
        missing = np.full(len(scores), np.nan)
        lifts.append(np.divide(attended, expected, out=missing, where=expected > 0))
    return np.mean(lifts, axis=0)


def _shares(parts: np.ndarray, height: int, width: int) -> np.ndarray:
    """The share of each cell of a map that each part covers, `(N, 2, height, width)`."""
    count, both, *size = parts.shape
    cells = parts.reshape(count, both, height, size[0] // height, width, size[1] // width)
    return cells.mean(axis=(3, 5))


def _image_measures(scores: np.ndarray, pool_size: int) -> dict[str, np.ndarray]:
    """`score_measures` of each image, arrays `(N,)`."""
    height, width = scores.shape[1:3]
    flat = scores.reshape(len(scores), height * width, -1)  # (N, queries, keys)
    distances = query_key_distances(height, width, pool_size)  # (queries, keys)
    keys = flat.shape[-1]
    logs = np.log(flat, out=np.zeros_like(flat), where=flat > 0)
    entropy = -np.einsum("nqk,nqk->nq", flat, logs, dtype=np.float64)
    far = distances > max(height, width) / 4
    return {
        "distance": _relative(
            np.einsum("nqk,qk->n", flat, distances) / len(distances), distances.mean()
        ),
        "entropy": _relative(entropy.mean(axis=1), np.log(keys)),
        "effective_keys": np.exp(entropy).mean(axis=1),
        "far_mass": np.einsum("nqk,qk->n", flat, far) / len(distances),
    }


def _relative(values: np.ndarray, uniform: float) -> np.ndarray:
    """Values divided by that of uniform attention; 1 with a single key, which is always uniform."""
    return values / uniform if uniform else np.ones_like(values)


def _usage(inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Norm of what a layer added to each image, relative to the norm of its input."""
    added, before = (
        np.linalg.norm(value.reshape(len(value), -1), axis=1)
        for value in (outputs - inputs, inputs)
    )
    return np.divide(added, before, out=np.zeros_like(added), where=before > 0)
