"""A rollback on two replicas, while the threads that read images collect garbage."""

import gc
import os
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.data import batches, load_source
from sagan_tf.run.checkpoint import Checkpoints
from sagan_tf.training import loop
from sagan_tf.training.counts import Counts
from sagan_tf.training.monitor import NullMonitor

LIMIT = 120  # seconds; it takes ten


class Breaks(keras.Model):
    """Takes a model's place in the loop; its loss is not finite until the second rollback."""

    scalars, d_steps = ("loss",), 1

    def __init__(self):
        super().__init__()
        self.rollbacks = keras.Variable(0, dtype="int64", trainable=False, name="rollbacks")
        self.built = True

    @property
    def counts(self):
        return Counts.read(self.rollbacks, self.rollbacks, self.rollbacks)

    def run_step(self, images, labels, counts):
        return {"loss": tf.where(counts.rollbacks < 2, np.nan, tf.reduce_mean(images))}

    def sampling_generator(self):
        return None


def main(folder):
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = Breaks()
    source = load_source("digits")
    read = source.read

    def read_and_collect(index):
        gc.collect()
        return read(index)

    source.read = read_and_collect

    def batches_from(step, rollbacks):
        options = {"image_size": 16, "global_batch_size": 8, "num_replicas": 2, "scaled": False}
        return iter(
            strategy.distribute_datasets_from_function(
                lambda context: batches(source, seed=rollbacks, start_step=step, **options)
            )
        )

    schedule = loop.Schedule(4, 2, 100, 100, 2, 2, 0)
    checkpoints = Checkpoints(folder, (model,))
    print(loop.train(model, strategy, batches_from, checkpoints, NullMonitor(), schedule, 0))


def test_a_rollback_ends_while_readers_collect_garbage(tmp_path):
    command = [sys.executable, "-m", "tests.training.test_rollback", str(tmp_path / "run")]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT, env=environment, check=False
    )
    assert done.stdout.strip().endswith("(4, 0)"), done.stderr[-2000:]
    assert "rollback 2 of 2" in done.stderr


if __name__ == "__main__":
    main(sys.argv[1])
