"""Means over replicas, computed inside a training step."""

from typing import Any

import keras
import tensorflow as tf

from sagan_tf.training.moving_average import batch_norms


def replica_mean(value: Any) -> Any:
    """The mean over replicas of a tensor or a structure of tensors."""
    # Multi-worker strategies need the device of each value, which a variable's read lacks.
    value = tf.nest.map_structure(tf.identity, value)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, value)


def average_moving_statistics(generator: keras.Model) -> None:
    """Gives every replica the mean of the replicas' moving statistics."""
    if tf.distribute.get_replica_context().num_replicas_in_sync == 1:
        return
    statistics = [
        variable
        for norm in batch_norms(generator)
        for variable in (norm.moving_mean, norm.moving_variance)
    ]
    means = replica_mean([variable.value for variable in statistics])
    for variable, mean in zip(statistics, means, strict=True):
        variable.assign(mean)
