"""The model on which the parts of `gpu_smoke` work."""


def make_model(sizes, **settings):
    """A model with always the same weights, and a batch on which to train it."""
    import keras
    import tensorflow as tf

    from sagan_tf.benchmark.networks import make_sagan

    keras.utils.set_random_seed(0)
    sizes = dict(sizes)
    batch_size = sizes.pop("batch_size")
    sagan = make_sagan(ema_decay=0.0, **sizes, **settings)
    side, classes = sizes["image_size"], sizes["num_classes"]
    images = tf.random.stateless_uniform((batch_size, side, side, 3), (0, 0), -1.0, 1.0)
    return sagan, (images, tf.range(batch_size) % classes)


def wait(results):
    for result in results.values():
        result.numpy()
