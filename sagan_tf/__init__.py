"""Self-Attention GAN (arXiv 1805.08318) on TensorFlow 2 and Keras 3.

Commands are verbs: `python -m sagan_tf.train`, `prepare`, `convert`, `sample`, `attend`,
`latent`, `evaluate`, `export`, `publish`, `serve`, `playground`, `study` and `benchmark`;
`python -m sagan_tf` lists them. They read settings (`config`, `fields`, `command`) and wire
libraries, which take plain arguments. A library imports only libraries above it:

    registration  lets Keras load saved models after `import sagan_tf` alone
    extras        names the extra that brings a missing package
    class_names   names and numbers of classes, as a user writes them -> labels
    output        files written whole or not at all, pictures, HTML pages
    machine       devices, memory, several workers
    geotex        drawn images that tell geometry from texture
    data          a data set's name -> batches of images and labels
    architecture  the sizes of both networks, and a check of the settings for them
    layers        spectral normalisation, attention, resampling; for any Keras model
    models        generator and discriminator
    published     weights of other projects
    losses        functions of the discriminator's logits
    run           the files of a run: checkpoints, settings, the identity of its data
    pretrained    published runs, on the Hugging Face Hub or with the package
    sampling      seeds -> images, the same in every batch size
    attention     attention maps and measures, figures and a page
    latent        directions in the latent space, walks through it, latents of a picture
    serving       SavedModel, REST server, gateway, client, web page
    evaluation    scores against real images
    training      the step, the loop around it, and what watches it

To read the GAN itself, in this order: `layers.self_attention` and `layers.spectral_norm`,
`architecture`, `models.generator`, `models.discriminator`, `losses`, `training.trainer`,
`training.loop`, `train`; then `sampling` and whichever command you need. `docs/architecture.md`
follows one batch and one request, and `docs/api/index.md` says which names are stable.

Importing the package imports neither Keras nor TensorFlow, and is enough for
`keras.saving.load_model` to load saved models that use its layers and models.
"""

from sagan_tf import registration

__version__ = "0.1.0"

registration.register()
