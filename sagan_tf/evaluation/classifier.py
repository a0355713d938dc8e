"""A small classifier trained on the real images, to score small images without a download.

Its features describe how generated images differ from the real images of one data set. Scores made
with it are comparable with one another, but not with published scores.
"""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from sagan_tf.evaluation.file_identity import without_times
from sagan_tf.evaluation.images import RealImages
from sagan_tf.output.files import replacing

_EPOCHS = 20
_BATCH_SIZE = 64
# One in this many real images is held out from training, to measure the accuracy.
_HELD_OUT = 10


class ClassifierExtractor:
    """A classifier of real images as a feature extractor: its penultimate layer and its logits.

    Args:
        real: images to train on.
        directory: where the trained weights are stored, so that all features come from the same
            classifier.

    Attributes:
        name: "classifier".
        identity: see `feature_files.Extractor`.
        accuracy: accuracy on held-out real images, in [0, 1].

    Raises:
        ValueError: for fewer than two classes with images, and when it is called with images of
            another size or number of channels.
    """

    name = "classifier"

    def __init__(self, real: RealImages, directory: Path) -> None:
        images, labels = real.read(0, real.num_images)
        present = [real.class_names[label] for label in np.unique(labels)]
        if len(present) < 2:
            raise ValueError(
                "`--extractor=classifier` learns to tell the classes of the real images apart, so "
                f"it needs at least two. Received: one, {present[0]}. Use `--extractor=inception`, "
                "or a Keras model of your own by `--extractor=PATH.keras`."
            )
        identity = json.dumps(without_times(real.identity), sort_keys=True)
        key = hashlib.sha256(identity.encode()).hexdigest()[:16]
        path = directory / f"classifier-{key}.npz"
        model = _model(images.shape[1:], len(real.class_names))
        held_out = np.arange(len(images)) % _HELD_OUT == 0
        if path.exists():
            with np.load(path) as weights:
                model.set_weights([weights[name] for name in weights])
        else:
            _train(model, images[~held_out], labels[~held_out])
            directory.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, *model.get_weights())
        self._shape = images.shape[1:]
        self._outputs = tf.function(model, reduce_retracing=True, autograph=False)
        answers = self(images[held_out])["logits"].argmax(axis=1)
        self.accuracy = float(np.mean(answers == labels[held_out]))
        weights = b"".join(np.asarray(weight).tobytes() for weight in model.get_weights())
        self.identity = {"network": self.name, "weights": hashlib.sha256(weights).hexdigest()}

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        if images.shape[1:] != self._shape:
            raise ValueError(
                f"`--extractor=classifier` was trained on the real images, of height, width and "
                f"channels {self._shape}, and takes no others. Received: images of "
                f"{images.shape[1:]}. Score images of that shape, or choose another extractor."
            )
        return {name: value.numpy() for name, value in self._outputs(images).items()}


def _model(shape: tuple[int, ...], num_classes: int) -> keras.Model:
    inputs = keras.Input(shape, dtype="uint8")
    hidden = layers.Rescaling(1 / 127.5, -1)(inputs)
    for index, filters in enumerate((16, 32, 64)):
        hidden = layers.Conv2D(
            filters,
            3,
            strides=1 if index == 0 else 2,
            padding="same",
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=index),
        )(hidden)
    features = layers.Flatten()(layers.MaxPooling2D(padding="same")(hidden))
    features = layers.Dense(
        64, "relu", kernel_initializer=keras.initializers.HeNormal(seed=3), name="features"
    )(features)
    logits = layers.Dense(
        num_classes, kernel_initializer=keras.initializers.HeNormal(seed=4), name="logits"
    )(features)
    return keras.Model(inputs, {"features": features, "logits": logits})


def _train(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    trained = keras.Model(model.input, model.output["logits"])
    trained.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    examples = tf.data.Dataset.from_tensor_slices((images, labels))
    examples = examples.shuffle(len(images), seed=0).batch(_BATCH_SIZE)
    trained.fit(examples, epochs=_EPOCHS, shuffle=False, verbose=0)
