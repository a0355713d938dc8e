"""A data set's name -> batches of images float32 NHWC in [-1, 1] and labels int32."""

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
