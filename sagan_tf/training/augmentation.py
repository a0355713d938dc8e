"""Differentiable augmentation: random changes of images through which gradients flow.

Shown augmented images alone, real and generated, a discriminator cannot learn a small data set by
heart, and the generator still learns to draw images as they are (Zhao et al., "Differentiable
Augmentation for Data-Efficient GAN Training", arXiv 2006.10738, section 3 and appendix).
"""

from collections.abc import Callable, Collection
from typing import Any

from keras import ops

# Largest shift of a translation, and side of a cutout, as shares of the image's side.
TRANSLATION = 1 / 8
CUTOUT = 1 / 2


def color(images: Any, uniforms: Any) -> Any:
    """Changes brightness (by up to half of [0, 1]), saturation (0 to 2) and contrast (0.5 to 1.5).

    Args:
        images: float32 `(N, S, S, C)` in [-1, 1].
        uniforms: float32 `(N, 3)` in [0, 1).

    Returns:
        Images of the same shape; values may leave [-1, 1].
    """
    brightness, saturation, contrast = (
        ops.reshape(uniforms[:, index], (-1, 1, 1, 1)) for index in range(3)
    )
    images = images + brightness - 0.5
    grey = ops.mean(images, axis=-1, keepdims=True)
    images = (images - grey) * (2 * saturation) + grey
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    return (images - mean) * (contrast + 0.5) + mean


def translation(images: Any, uniforms: Any) -> Any:
    """Moves images by whole pixels, up to an eighth of their side; zeros come in.

    Args:
        images: float32 `(N, S, S, C)`.
        uniforms: float32 `(N, 2)` in [0, 1): down and to the right, 0.5 for no shift.

    Returns:
        Images of the same shape.
    """
    size = images.shape[1]
    largest = int(size * TRANSLATION + 0.5)
    shifts = ops.floor(uniforms * (2 * largest + 1)) - largest  # (N, 2)
    places = ops.arange(size, dtype="float32")
    # Row i of the result is row i - shift. As a product with zeros and ones the gradient needs no
    # scatter, and what comes in is zero of itself; it costs next to nothing beside a convolution.
    sources = places - ops.expand_dims(shifts, -1)  # (N, 2, S)
    moves = ops.cast(ops.expand_dims(sources, -1) == places, images.dtype)  # (N, 2, S, S)
    images = ops.einsum("nij,njkc->nikc", moves[:, 0], images)
    return ops.einsum("nij,nkjc->nkic", moves[:, 1], images)


def cutout(images: Any, uniforms: Any) -> Any:
    """Sets a square of half the image's side to zero; it may stand out over the edge.

    The generator may learn to draw such squares, where few images leave no other sign of what is
    real (mit-han-lab/data-efficient-gans, issue 84).

    Args:
        images: float32 `(N, S, S, C)`.
        uniforms: float32 `(N, 2)` in [0, 1): the square's middle.

    Returns:
        Images of the same shape.
    """
    size = images.shape[1]
    side = int(size * CUTOUT + 0.5)
    middle = ops.floor(uniforms * (size + 1 - side % 2))  # (N, 2)
    offsets = ops.arange(size, dtype="float32") - ops.expand_dims(middle - side // 2, -1)
    cut = ops.cast((offsets >= 0) & (offsets < side), images.dtype)  # (N, 2, S)
    square = ops.einsum("ni,nj->nij", cut[:, 0], cut[:, 1])
    return images * (1 - ops.expand_dims(square, -1))


# By name: the function, and how many random numbers it takes.
POLICIES: dict[str, tuple[Callable[[Any, Any], Any], int]] = {
    "color": (color, 3),
    "translation": (translation, 2),
    "cutout": (cutout, 2),
}


def check_policies(policies: Collection[str]) -> None:
    """Raises `ValueError` for a name that is none of `POLICIES`, or that stands there twice."""
    if not set(policies) <= set(POLICIES) or len(set(policies)) < len(policies):
        raise ValueError(
            f"`augment` must name some of {', '.join(POLICIES)}, each once. "
            f"Received: augment={tuple(policies)}"
        )


def num_uniforms(policies: Collection[str]) -> int:
    """How many random numbers an image takes: each policy's own, and one that may leave it out."""
    return sum(1 + POLICIES[name][1] for name in policies)


def augment(images: Any, uniforms: Any, policies: Collection[str], probability: Any = 1.0) -> Any:
    """Applies policies one after another, each to an image with the given probability.

    Args:
        images: float32 `(N, S, S, C)` in [-1, 1].
        uniforms: float32 `(N, num_uniforms(policies))` in [0, 1), which decide everything: equal
            numbers give equal images.
        policies: names of `POLICIES`.
        probability: scalar in [0, 1].

    Returns:
        Images of the same shape, differentiable with respect to `images`.
    """
    start = 0
    for name in policies:
        function, count = POLICIES[name]
        applied = ops.reshape(uniforms[:, start] < probability, (-1, 1, 1, 1))
        changed = function(images, uniforms[:, start + 1 : start + 1 + count])
        images = ops.where(applied, changed, images)
        start += 1 + count
    return images
