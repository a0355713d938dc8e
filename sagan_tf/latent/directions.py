"""Directions of the latent space along which images change most, in closed form (SeFa)."""

import keras
import numpy as np
from keras import ops


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
    _, vectors = np.linalg.eigh(kernel @ kernel.T)  # columns, by ascending eigenvalue
    found = vectors.T[::-1][:count]
    largest = np.abs(found).argmax(axis=1)
    return (found * np.sign(found[np.arange(count), largest])[:, None]).astype(np.float32)
