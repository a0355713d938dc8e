"""Turns a data set's name into batches of images (float32 in [-1, 1] or uint8) and int32 labels.

`registry` opens a data set by name (a new one is an entry of its table `KINDS`), as a `source` that
reads examples by index: `tfds` (with `fashion_mnist`, the class names of `imagenet`, and `records`
for TFRecord files), `folder` (whose files `walk` finds), `prepared` (written by `preparation`),
`digits`, `robohash` or `drawn`. `decode` cuts a square out of each image, `loading` reads many
images at once and reports damaged ones, `order` decides which image comes when, `read_ahead`
reads while a step trains, and `pipeline` makes the batches. `labels` counts the images of each
class, and `inspection` checks a data set before training.
"""

from sagan_tf.data.inspection import check_source
from sagan_tf.data.labels import class_counts
from sagan_tf.data.pipeline import batches, readable_errors
from sagan_tf.data.registry import canonical, describe_source, load_source
from sagan_tf.data.source import Source

__all__ = [
    "Source",
    "batches",
    "canonical",
    "check_source",
    "class_counts",
    "describe_source",
    "load_source",
    "readable_errors",
]
