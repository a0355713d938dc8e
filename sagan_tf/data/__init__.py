"""A data set's name -> batches of images, float32 NHWC in [-1, 1] or bytes, and labels int32.

`registry` knows the names. Each gives a `source` that reads examples by index: `tfds` (with
`fashion_mnist` and the names of `imagenet`, from `records`), `folder` (found by `walk`), `prepared`
(written by `preparation`), `digits`, `robohash` and `drawn`. `decode` makes a square of each image,
`loading` reads many at once and names the damaged, `order` says which come when, and `pipeline`
makes batches of them. `labels` counts the classes, and `inspection` looks at a data set before it
is trained on.
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
