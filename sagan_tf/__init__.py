"""Self-Attention GAN (arXiv 1805.08318) on TensorFlow 2 and Keras 3.

Read in the order the data flows:

    data -> layers -> models -> losses -> trainer -> checkpoint, monitor -> sampling

Those are libraries and take plain arguments. Commands parse settings and wire them:
`python -m sagan_tf.train`, `python -m sagan_tf.prepare`, `python -m sagan_tf.sample`.

Importing the package imports neither Keras nor TensorFlow, and is enough for
`keras.saving.load_model` to load what its layers and models were saved in.
"""

from sagan_tf import registration

__version__ = "0.1.0"

registration.register()
