"""How much memory training really takes, measured in processes of their own (Linux).

The counterpart of `cost.training_memory`, which estimates it.
"""

import concurrent.futures
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from sagan_tf.layers import SelfAttention2D
from sagan_tf.models import Discriminator, Generator
from sagan_tf.trainer import SAGAN


def measure(work: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """Bytes that `work(*arguments)` takes at its peak in a fresh process, and what it returns.

    That is the peak of resident memory over what it was once Python had imported TensorFlow and
    run a first operation.

    Args:
        work: a function of a module, so that another process finds it.
        *arguments: of `work`, for pickling.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(_measure_here, work, arguments).result()


def train(settings: dict[str, Any], batch_size: int, steps: int = 3) -> float:
    """Trains on images of zeros and returns the seconds of the fastest step.

    Args:
        settings: arguments that both networks take.
        batch_size: images per update.
        steps: how many.
    """
    sagan = SAGAN(Generator(**settings), Discriminator(**settings))
    sagan.compile(keras.optimizers.Adam(beta_1=0.0), keras.optimizers.Adam(beta_1=0.0))
    side = sagan.generator.image_size
    images = tf.zeros((batch_size, side, side, sagan.generator.channels))
    labels = tf.zeros((batch_size,), tf.int32)
    return _fastest(tf.function(lambda: sagan.train_step((images, labels))), steps)


def attend(
    shape: tuple[int, int, int, int], query_chunk_size: int | None, xla: bool, steps: int = 2
) -> float:
    """Computes self-attention and its gradients; returns the seconds of the fastest time.

    Args:
        shape: `(N, H, W, C)` of the feature maps.
        query_chunk_size: see `SelfAttention2D`.
        xla: whether XLA compiles it.
        steps: how many times.
    """
    layer = SelfAttention2D(query_chunk_size=query_chunk_size)
    layer.build(shape)
    layer.gamma.assign(0.5)
    inputs = tf.random.stateless_normal(shape, (0, 0))

    @tf.function(jit_compile=xla)
    def gradients() -> list[tf.Tensor]:
        watched = [inputs, *(variable.value for variable in layer.trainable_variables)]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            loss = tf.reduce_sum(layer(inputs, training=True) ** 2)
        return tape.gradient(loss, watched)

    return _fastest(gradients, steps)


def _measure_here(work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[int, Any]:
    tf.reduce_sum(tf.ones((8, 8)) @ tf.ones((8, 8))).numpy()
    before = _peak()
    result = work(*arguments)
    return _peak() - before, result


def _peak() -> int:
    # Not `resource.getrusage`, whose peak a process takes over from the one that started it.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmHWM"].split()[0]) * 1024


def _fastest(function: Callable[[], Any], times: int) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
