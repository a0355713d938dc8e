"""Two training steps, of one worker or of a process with two replicas; `test_workers.py` compares.

python -m tests.support.worker_steps OUT NUM_REPLICAS
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.data import batches, load_source
from sagan_tf.machine.cluster import find_cluster
from sagan_tf.machine.devices import make_strategy
from sagan_tf.machine.team import Team
from sagan_tf.training.trainer import SAGAN
from tests.support.small_sagan import make_networks


def main(out, num_replicas):
    cluster = find_cluster()
    strategy = make_strategy("cpu", num_replicas, cluster=cluster)
    team = Team(strategy, cluster)
    replicas = strategy.num_replicas_in_sync
    source = load_source("digits")
    with strategy.scope():
        sagan = SAGAN(*make_networks(), d_steps=2, ema_decay=0.5)
        # The first step leaves the gradients of its last updates in the momenta.
        optimizers = [
            keras.optimizers.SGD(1e-2, momentum=0.9, name=f"{name}_optimizer")
            for name in ("generator", "discriminator")
        ]
        sagan.compile(*optimizers, sync_batch_norm=True)
    dataset = strategy.distribute_datasets_from_function(
        lambda context: batches(
            source,
            image_size=16,
            seed=0,
            start_step=0,
            global_batch_size=8,
            batches_per_step=2,
            num_replicas=replicas,
            replicas=team.shard(range(replicas)),
        )
    )
    step = tf.function(lambda batch: strategy.run(sagan.train_step, (batch,)))
    iterator = iter(dataset)
    values = {}
    for number in range(2):
        logs = step(next(iterator))
        for name, value in logs.items():
            values[f"{number}/logs/{name}"] = strategy.reduce("MEAN", value, axis=None)
        for owner in (sagan, *optimizers):
            for variable in owner.variables:
                values[f"{number}/{variable.path}"] = tf.convert_to_tensor(variable.value)
    np.savez(out, **{name: np.array(value) for name, value in values.items()})
    team.barrier()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
