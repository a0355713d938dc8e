"""The latents and the mix of classes that draw a given picture best."""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.latent.drawing import draw
from sagan_tf.sampling import from_uint8, latents_from_seeds

# Images that random latents draw: where the search starts, and what its end is compared with.
NUM_SAMPLES = 1000
_STEPS = 600
_LEARNING_RATE = 0.1
# Of the squared relative error of the latents' norm, beside the mean squared distance of pixels in
# [-1, 1]: latents far from the sphere where N(0, 1) lies draw what training never judged.
_NORM_WEIGHT = 0.1
# The weight of its own class from which a start's mix sets out.
_FIRST_WEIGHT = 0.9


@dataclasses.dataclass(frozen=True)
class Projection:
    """What draws a picture best, and how well.

    Attributes:
        latents: float32 `(latent_dim,)`.
        class_weights: float32 `(num_classes,)`, of sum 1; `None` without classes.
        image: uint8 `(image_size, image_size, channels)`, what they draw.
        distance: root mean square of the differences to the picture, in levels of 0 to 255.
        sample_distance: the same of the nearest of 1,000 samples of random latents.
        flat_distance: the same of a picture that has the mean colour everywhere.
    """

    latents: np.ndarray
    class_weights: np.ndarray | None
    image: np.ndarray
    distance: float
    sample_distance: float
    flat_distance: float


def project(generator: keras.Model, image: np.ndarray, restarts: int = 16) -> Projection:
    """Finds the latents and the mix of classes that draw a picture best.

    Adam minimises the mean squared distance of pixels, with a term that keeps the latents' norm
    near `sqrt(latent_dim)`, starting from those of 1,000 samples that are nearest to the picture
    (Image2StyleGAN, arXiv 1904.03189; random starts: arXiv 1901.03396). It is deterministic.

    Args:
        generator: a built `Generator`; its weights do not move.
        image: uint8 `(image_size, image_size, channels)`.
        restarts: number of starts, of which the best result is kept.

    Returns:
        The best end, its image rounded to bytes.

    Raises:
        ValueError: if the image has another shape or dtype, or `restarts` is not in [1, 1000].

    Example:

    >>> from sagan_tf import sampling
    >>> generator = sampling.load_generator("digits")
    >>> (seven,) = sampling.sample(generator, seeds=[1234], labels=[7])
    >>> found = project(generator, seven, restarts=2)
    >>> found.distance < found.sample_distance
    True
    """
    image = np.asarray(image)
    shape = (generator.image_size, generator.image_size, generator.channels)
    if image.shape != shape or image.dtype != np.uint8:
        raise ValueError(
            f"`image` must be uint8 of shape {shape}, as the generator draws. "
            f"Received: {image.dtype} {image.shape}"
        )
    if not 1 <= restarts <= NUM_SAMPLES:
        raise ValueError(f"`restarts` must be in [1, {NUM_SAMPLES}]. Received: {restarts}")
    latents = latents_from_seeds(np.arange(NUM_SAMPLES), generator.latent_dim)
    classes = None
    if generator.num_classes is not None:
        labels = np.arange(NUM_SAMPLES) % generator.num_classes
        classes = np.eye(generator.num_classes, dtype=np.float32)[labels]
    distances = _distances(draw(generator, latents, classes), image)
    nearest = np.argsort(distances, kind="stable")[:restarts]
    ends = _descend(
        generator,
        from_uint8(image),
        tf.gather(latents, nearest),
        None if classes is None else classes[nearest],
    )
    images = draw(generator, *ends)
    reached = _distances(images, image)
    best = int(reached.argmin())
    return Projection(
        ends[0][best],
        None if ends[1] is None else ends[1][best],
        images[best],
        distance=float(reached[best]),
        sample_distance=float(distances.min()),
        flat_distance=float(_distances(image.mean(axis=(0, 1), keepdims=True)[None], image)[0]),
    )


def _descend(
    generator: keras.Model, target: np.ndarray, latents: tf.Tensor, classes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Where the descent from each start ends: latents, and weights of classes if there are any."""
    variables = [tf.Variable(latents)]
    if classes is not None:
        variables.append(tf.Variable(_first_logits(classes)))
    radius = math.sqrt(generator.latent_dim)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, _STEPS), beta_1=0.9, beta_2=0.99
    )
    optimizer.build(variables)

    @tf.function(autograph=False)
    def step() -> None:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            weights = None if classes is None else tf.nn.softmax(variables[1])
            difference = generator(variables[0], weights) - target
            off = tf.norm(variables[0], axis=-1) / radius - 1
            # The sum, so that no start weighs on another.
            loss = tf.reduce_sum(tf.reduce_mean(tf.square(difference), axis=(1, 2, 3)))
            loss += _NORM_WEIGHT * tf.reduce_sum(tf.square(off))
        optimizer.apply(tape.gradient(loss, variables), variables)

    for _ in range(_STEPS):
        step()
    weights = None if classes is None else tf.nn.softmax(variables[1]).numpy()
    return variables[0].numpy(), weights


def _first_logits(classes: np.ndarray) -> np.ndarray:
    """Logits of mixes that lean to the starts' own classes, and can still leave them."""
    num_classes = classes.shape[1]
    if num_classes == 1:
        return np.zeros_like(classes)
    others = (1 - _FIRST_WEIGHT) / (num_classes - 1)
    return classes * np.float32(math.log(_FIRST_WEIGHT / others))


def _distances(images: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Root mean squares of differences in levels, `(N,)`."""
    differences = images.astype(np.float64) - image
    return np.sqrt(np.square(differences).mean(axis=(1, 2, 3)))
