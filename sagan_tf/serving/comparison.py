"""Inputs and expected images with which every export is compared."""

import numpy as np

from sagan_tf.models import Generator

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
