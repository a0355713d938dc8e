"""Closed walks through the latent space: the last latents are followed by the first."""

from collections.abc import Sequence

import keras
import numpy as np

from sagan_tf.sampling import interpolated_latents, latents_from_seeds


def through(
    generator: keras.Model, stops: Sequence[tuple[int, int | None]], frames: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Latents and classes on the way from stop to stop and back to the first.

    Latents move along great circles, the weights of classes along straight lines. Each way has
    as many frames as any other, to within one.

    Args:
        generator: a `Generator`.
        stops: seed and label of each; labels are `None` for an unconditional generator.
        frames: of the whole walk. The first is the first stop, and follows the last.

    Returns:
        Latents, float32 `(frames, latent_dim)`, and weights of the classes, float32
        `(frames, num_classes)`, or `None`.

    Raises:
        ValueError: for fewer than two stops, or fewer frames than stops.
    """
    if not 2 <= len(stops) <= frames:
        raise ValueError(
            "`stops` must be at least two and at most `frames`: name two or more seeds or classes, "
            f"or more frames. Received: {len(stops)} stops, frames={frames}"
        )
    place = np.arange(frames) * len(stops) / frames
    first = place.astype(int)
    last, fraction = (first + 1) % len(stops), place % 1
    ends = latents_from_seeds([seed for seed, _ in stops], generator.latent_dim).numpy()
    latents = interpolated_latents(ends[first], ends[last], fraction).numpy()
    if generator.num_classes is None:
        return latents, None
    labels = np.array([label for _, label in stops])
    classes = np.eye(generator.num_classes)[labels]
    fraction = fraction[:, np.newaxis]
    weights = (1 - fraction) * classes[first] + fraction * classes[last]
    return latents, weights.astype(np.float32)


def swing(latents: np.ndarray, direction: np.ndarray, reach: float, frames: int) -> np.ndarray:
    """Latents that swing along a direction, to `reach` on either side, and back.

    Args:
        latents: float32 `(latent_dim,)`, from where.
        direction: a unit vector `(latent_dim,)`.
        reach: the largest distance.
        frames: of the whole swing, whose first is `latents` and follows the last.

    Returns:
        float32 `(frames, latent_dim)`.
    """
    offsets = reach * np.sin(2 * np.pi * np.arange(frames) / frames)
    return (latents + offsets[:, np.newaxis] * direction).astype(np.float32)
