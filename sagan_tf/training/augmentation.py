"""Differentiable augmentation: random changes of images through which gradients flow.

A discriminator that sees only augmented images, real and generated, cannot memorise a small data
set, and the generator still learns to draw images without augmentation (Zhao et al.,
"Differentiable Augmentation for Data-Efficient GAN Training", arXiv 2006.10738, section 3 and
appendix).
"""

from collections.abc import Callable, Collection
from typing import Any

from keras import ops

# Largest shift of a translation, and side of a cutout, as fractions of the image's side.
TRANSLATION = 1 / 8
CUTOUT = 1 / 2


def color(images: Any, uniforms: Any) -> Any:
    """Changes brightness (by -0.5 to 0.5), saturation (0 to 2 times) and contrast (0.5 to 1.5).

    Args:
        images: float32 `(N, S, S, C)` in [-1, 1].
        uniforms: float32 `(N, 3)` in [0, 1), one number for each change.

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
    """Shifts images by whole pixels, up to an eighth of their side, and fills with zeros.

    Args:
        images: float32 `(N, S, S, C)`.
        uniforms: float32 `(N, 2)` in [0, 1): the shifts down and to the right; 0.5 does not shift.

    Returns:
        Images of the same shape.
    """
    size = images.shape[1]
    largest = int(size * TRANSLATION + 0.5)
    shifts = ops.floor(uniforms * (2 * largest + 1)) - largest  # (N, 2)
    places = ops.arange(size, dtype="float32")
    # Row i of the result is row i - shift of the image. The shift is a product with a matrix of
    # zeros and ones: its gradient needs no scatter, rows from outside the image become zero, and it
    # costs next to nothing compared with a convolution.
    sources = places - ops.expand_dims(shifts, -1)  # (N, 2, S)
    moves = ops.cast(ops.expand_dims(sources, -1) == places, images.dtype)  # (N, 2, S, S)
    images = ops.einsum("nij,njkc->nikc", moves[:, 0], images)
    return ops.einsum("nij,nkjc->nkic", moves[:, 1], images)


def cutout(images: Any, uniforms: Any) -> Any:
    """Sets a square with half the image's side to zero; it may reach beyond the edge.

    The generator may learn to draw such squares if there are so few images that nothing else tells
    real images from generated ones (mit-han-lab/data-efficient-gans, issue 84).

    Args:
        images: float32 `(N, S, S, C)`.
        uniforms: float32 `(N, 2)` in [0, 1): row and column of the square's centre.

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


# Each policy's function and the number of random numbers that it takes, by name.
POLICIES: dict[str, tuple[Callable[[Any, Any], Any], int]] = {
    "color": (color, 3),
    "translation": (translation, 2),
    "cutout": (cutout, 2),
}


def check_policies(policies: Collection[str]) -> None:
    """Raises `ValueError` for a name that is not in `POLICIES` or is given twice."""
    if not set(policies) <= set(POLICIES) or len(set(policies)) < len(policies):
        raise ValueError(
            f"`augment` must name some of {', '.join(POLICIES)}, each once. "
            f"Received: augment={tuple(policies)}"
        )


def num_uniforms(policies: Collection[str]) -> int:
    """Random numbers per image: those of each policy, and one that decides whether to apply it."""
    return sum(1 + POLICIES[name][1] for name in policies)


def augment(images: Any, uniforms: Any, policies: Collection[str], probability: Any = 1.0) -> Any:
    """Applies policies one after another, each to an image with the given probability.

    Args:
        images: float32 `(N, S, S, C)` in [-1, 1].
        uniforms: float32 `(N, num_uniforms(policies))` in [0, 1). They decide everything: equal
            numbers give equal images.
        policies: names from `POLICIES`.
        probability: scalar in [0, 1], with which each policy is applied to an image.

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
