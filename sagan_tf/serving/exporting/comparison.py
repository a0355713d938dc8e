"""Inputs and expected images with which every export is compared, and how much may differ."""

import numpy as np

from sagan_tf.models import Generator

# Relative to the largest value; several times the rounding error of float32 sums.
TOLERANCE = 1e-5
# Their classes are spread evenly over all classes.
_COMPARED_IMAGES = 16


def expected_images(generator: Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns inputs and the generator's images for them, in float32 whatever its policy.

    Args:
        generator: built.

    Returns:
        `latents`, float32 `(N, latent_dim)`, and, if there are classes, `class_id`, int32 `(N,)`,
        by name; and images, float32 `(N, image_size, image_size, channels)` in [-1, 1].
    """
    # Under its own policy the generator may compute in lower precision.
    reference = Generator.from_config({**generator.get_config(), "dtype": "float32"})
    reference.build()
    reference.set_weights(generator.get_weights())
    size = (_COMPARED_IMAGES, generator.latent_dim)
    inputs = {"latents": np.random.default_rng(0).normal(size=size).astype("float32")}
    if generator.num_classes is not None:
        spread = np.linspace(0, generator.num_classes - 1, _COMPARED_IMAGES)
        inputs["class_id"] = spread.round().astype("int32")
    return inputs, np.asarray(reference(*inputs.values()))


def check_difference(difference: float, tolerance: float) -> None:
    """Raises `RuntimeError` if images differ too much, relative to their largest value."""
    if not difference <= tolerance:  # what is not a number is not greater
        raise RuntimeError(
            f"The exported generator's images differ from the checkpoint's by {difference:.2g} of "
            f"their largest value; {tolerance:.2g} is the most that rounding explains."
        )
