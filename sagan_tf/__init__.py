"""Self-Attention GAN (arXiv 1805.08318) on TensorFlow 2 and Keras 3.

Commands are verbs: `python -m sagan_tf.train`, `prepare`, `sample`, `evaluate`, `attend`, `export`,
`serve`, `playground`, `convert`, `study` and `benchmark`. They read settings (`config`, `fields`,
`command`) and wire libraries, which take plain arguments. Read those in the order the data flows:

    data         a data set's name -> batches of images and labels
    layers       spectral normalisation, attention, resampling; for any Keras model
    models       generator and discriminator
    losses       hinge losses
    training     the step, the loop around it, and what watches it
    run          what a run keeps: checkpoints, settings, the identity of its data
    sampling     seeds -> images, the same in every batch size
    attention    what attention layers look at
    evaluation   scores against real images
    serving      SavedModel, REST server, gateway, client, web page
    geotex       drawn images that tell geometry from texture; `study` trains on them

Beside them: `machine` (devices, memory, several workers), `published` (weights of other projects),
`output` (files and pictures), `architecture` (sizes that fit), `class_names`, `registration`.

Importing the package imports neither Keras nor TensorFlow, and is enough for
`keras.saving.load_model` to load what its layers and models were saved in.
"""

from sagan_tf import registration

__version__ = "0.1.0"

registration.register()
