"""Directions of latents and of class mixes that change images most, in closed form (SeFa)."""

import keras
import numpy as np
from keras import ops

from sagan_tf.layers import ConditionalBatchNormalization
from sagan_tf.layers.nested import layers_of_kind


def directions(generator: keras.Model, count: int) -> np.ndarray:
    """Unit vectors along which the generator's first dense layer changes most.

    The layer maps latents z to z W. Of all unit vectors n, those that maximise the length of n W,
    each orthogonal to those before it, are the eigenvectors of W W^T (SeFa, Shen and Zhou,
    arXiv 2007.06600, section 3, where A is our W transposed). W is the kernel as it is used:
    spectrally normalised. No image is needed.

    Args:
        generator: a built `Generator`.
        count: how many, K.

    Returns:
        float32 `(K, latent_dim)`, by descending eigenvalue. An eigenvector's sign means nothing;
        its largest component is made positive.

    Raises:
        ValueError: if `count` is not in [1, latent_dim], or the layer's weights are not finite.

    Example:

    >>> from sagan_tf import sampling
    >>> directions(sampling.load_generator("digits"), count=8).shape
    (8, 64)
    """
    if not 1 <= count <= generator.latent_dim:
        raise ValueError(
            f"`count` must be in [1, {generator.latent_dim}], the latents' dimensions. "
            f"Received: count={count}"
        )
    used = generator.dense.normalized(generator.dense.kernel)
    kernel = ops.convert_to_numpy(ops.cast(used, "float32")).astype(np.float64)
    if not np.isfinite(kernel).all():
        raise ValueError("`generator` has weights that are not finite: its training has diverged.")
    return _leading(kernel, count)


def class_directions(generator: keras.Model, count: int) -> np.ndarray:
    """Unit vectors of class weights along which the generator's class tables change most.

    Weights w of the classes give every class-conditional batch norm its scales and offsets, w T,
    where T holds all tables side by side, `(num_classes, columns)`. As in `directions`, but for T
    without the mean of its rows: to move along such a vector takes from some classes what it gives
    to others, and the weights' sum stays. No image is needed.

    Args:
        generator: a built `Generator` with classes.
        count: how many, K.

    Returns:
        float32 `(K, num_classes)`, by descending eigenvalue, each of sum 0. An eigenvector's sign
        means nothing; its largest component is made positive.

    Raises:
        ValueError: if `generator` has no classes, or `count` is not in [1, num_classes - 1].

    Example:

    >>> from sagan_tf import sampling
    >>> class_directions(sampling.load_generator("digits"), count=3).shape
    (3, 10)
    """
    if generator.num_classes is None:
        raise ValueError("`generator` expects one with classes. Received: num_classes=None")
    if not 1 <= count < generator.num_classes:
        raise ValueError(
            f"`count` must be in [1, {generator.num_classes - 1}], one less than there are "
            f"classes. Received: count={count}"
        )
    tables = [
        ops.cast(table, "float32")
        for norm in layers_of_kind(generator, ConditionalBatchNormalization)
        if norm.num_classes is not None
        for table in (norm.gamma, norm.beta)
    ]
    joined = ops.convert_to_numpy(ops.concatenate(tables, axis=1)).astype(np.float64)
    return _leading(joined - joined.mean(axis=0), count)


def _leading(matrix: np.ndarray, count: int) -> np.ndarray:
    """The first eigenvectors of M M^T, with signs of their own; float32 `(count, rows)`."""
    _, vectors = np.linalg.eigh(matrix @ matrix.T)  # columns, by ascending eigenvalue
    found = vectors.T[::-1][:count]
    largest = np.abs(found).argmax(axis=1)
    return (found * np.sign(found[np.arange(count), largest])[:, None]).astype(np.float32)
