"""The SavedModel that the calls in tests/vectors/tfserving_calls.jsonl were recorded with.

Its signatures try each rule between JSON and tensors: types, shapes, bytes, numbers that are not
finite, half precision, scalars, XLA. They are no example of how to serve.
"""

import keras
import tensorflow as tf

LATENT_DIM, NUM_CLASSES = 16, 10


def _generator():
    latents, labels = keras.Input((LATENT_DIM,)), keras.Input((), dtype="int32")
    embedded = keras.layers.Embedding(NUM_CLASSES, 8)(labels)
    hidden = keras.layers.Concatenate()([latents, embedded])
    hidden = keras.layers.Dense(8 * 8 * 16, activation="relu")(hidden)
    hidden = keras.layers.Reshape((8, 8, 16))(hidden)
    for filters, activation in ((16, "relu"), (3, "tanh")):
        hidden = keras.layers.Conv2DTranspose(
            filters, 4, strides=2, padding="same", activation=activation
        )(hidden)
    return keras.Model([latents, labels], hidden)


class ToyModel:
    """One method per signature."""

    def __init__(self):
        self.generator = _generator()

    def _png(self, class_id, seed, truncation):
        latents = tf.map_fn(
            lambda seed: tf.random.stateless_normal((LATENT_DIM,), tf.stack([seed, 0])),
            seed,
            fn_output_signature=tf.TensorSpec((LATENT_DIM,)),
        )
        images = self.generator([latents * truncation[:, tf.newaxis], class_id])
        pixels = tf.saturate_cast(images * 127.5 + 128, tf.uint8)
        return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)

    def serving_default(self, class_id, seed, truncation):
        tf.debugging.assert_less(class_id, NUM_CLASSES, message="class_id out of range")
        tf.debugging.assert_non_negative(class_id)
        return {"image_bytes": self._png(class_id, seed, truncation), "class_id": class_id}

    def simple(self, class_id, seed):
        return {"image_bytes": self._png(class_id, seed, tf.ones_like(seed, tf.float32))}

    def raw(self, z, class_id):
        return {"images": self.generator([z, class_id])}

    def half(self, x):
        return {"half": tf.cast(x, tf.float16)}

    def echo(self, x):
        return {"y": tf.math.log(x)}

    def scalar_out(self, x):
        return {"total": tf.reduce_sum(x)}

    def u8in(self, x):
        return {"y": tf.cast(x, tf.int32)}

    def strs(self, x_bytes):
        return {"len": tf.strings.length(x_bytes), "same": x_bytes}

    def mat(self, x):
        return {"y": tf.reduce_sum(x, 1)}

    def statefulrng(self, x):
        return {"y": x + tf.random.normal(tf.shape(x))}

    def spin(self, n):
        """Takes a time proportional to `n`."""
        _, waste = tf.while_loop(
            lambda step, _: step < tf.reduce_max(n),
            lambda step, waste: (step + 1, tf.sin(waste) + 1),
            (tf.constant(0, tf.int64), tf.ones(1000)),
        )
        return {"y": tf.cast(n, tf.float32) + waste[0]}

    def xla(self, x):
        return {"y": x * 2}


_VECTOR = [("x", (None,), tf.float32)]
_SIGNATURES = {
    "serving_default": [
        ("class_id", (None,), tf.int32),
        ("seed", (None,), tf.int64),
        ("truncation", (None,), tf.float32),
    ],
    "simple": [("class_id", (None,), tf.int32), ("seed", (None,), tf.int64)],
    "raw": [("z", (None, LATENT_DIM), tf.float32), ("class_id", (None,), tf.int32)],
    "half": _VECTOR,
    "echo": _VECTOR,
    "scalar_out": _VECTOR,
    "u8in": [("x", (None,), tf.uint8)],
    "strs": [("x_bytes", (None,), tf.string)],
    "mat": [("x", (None, 4), tf.float32)],
    "statefulrng": _VECTOR,
    "spin": [("n", (None,), tf.int64)],
    "xla": _VECTOR,
}


def write(directory):
    """Writes the version `directory`."""
    model = ToyModel()
    archive = keras.export.ExportArchive()
    archive.track(model.generator)
    for name, inputs in _SIGNATURES.items():
        specs = [tf.TensorSpec(shape, dtype, key) for key, shape, dtype in inputs]
        function = getattr(model, name)
        if name == "xla":
            function = tf.function(function, input_signature=specs, jit_compile=True)
        archive.add_endpoint(name, function, None if name == "xla" else specs)
    archive.write_out(str(directory), verbose=False)


def write_unrestored(directory):
    """Writes a version whose signature reads other variables than its checkpoint restores.

    This is what `tf.saved_model.save` makes of a `tf.Module` with a Keras 3 layer
    (tensorflow/tensorflow#72963); `tf.saved_model.load` can run it, TensorFlow Serving cannot.
    """
    module = tf.Module()
    module.layer = keras.layers.Dense(2, name="layer")
    spec = tf.TensorSpec((None, 3), tf.float32, "x")
    module.layer.build((None, 3))
    signature = tf.function(lambda x: {"y": module.layer(x)}, input_signature=[spec])
    tf.saved_model.save(module, str(directory), signatures={"serving_default": signature})
