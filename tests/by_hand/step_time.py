"""Where the processor's time goes in a training step on the CPU.

python -m tests.by_hand.step_time
python -m tests.by_hand.step_time --image_size=16 --base_filters=16

The last line compares the multiply-accumulates of the step's convolutions with a large product of
matrices, which shows what the processor can do: the least time that the step could take.
"""

import argparse
import collections
import tempfile
import time
from pathlib import Path

from sagan_tf.machine import startup
from tests.by_hand.gpu_model import make_model, wait

STEPS = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image_size", type=int, default=64)
    parser.add_argument("--base_filters", type=int, default=32)
    parser.add_argument("--num_classes", type=int, default=10)
    parser.add_argument("--batch_size", type=int, default=32)
    sizes = vars(parser.parse_args())
    startup.set_environment()
    startup.import_tensorflow()
    from sagan_tf.benchmark.training_cases import (
        MATRIX_SIZE,
        macs_per_image,
        prepare_matrix_product,
    )
    from sagan_tf.machine.devices import one_thread_per_operation
    from sagan_tf.machine.processors import num_cores
    from sagan_tf.training.build import are_small

    cores = 1  # that do not share an operation, but compute one each
    if are_small(sizes["image_size"], sizes["base_filters"], sizes["batch_size"]):
        one_thread_per_operation()
        cores = num_cores()
    wall, times = measure(sizes)
    total = sum(times.values())
    print(f"a step: {1e3 * wall:.1f} ms; operations {total:.1f} ms, side by side on the cores")
    for kind, milliseconds in times.most_common():
        print(f"{milliseconds / total:6.1%}  {kind}")
    product, macs = prepare_matrix_product()
    product()
    start = time.perf_counter()
    for _ in range(STEPS):
        product()
    rate = cores * STEPS * macs / (time.perf_counter() - start)
    work = sizes["batch_size"] * macs_per_image("auto", sizes)
    print(
        f"{work / 1e9:.1f} GMAC in convolutions and products; at the {rate / 1e9:.0f} GMAC/s of a "
        f"product of {MATRIX_SIZE} rows, {1e3 * work / rate:.0f} ms"
    )


def measure(sizes):
    """Seconds of a step, and milliseconds of operations in a step by their kind."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    from sagan_tf.training.loop import make_run_steps

    sagan, (images, labels) = make_model(sizes)
    images = tf.cast((images + 1) * 127.5, tf.uint8)
    batches = iter(tf.data.Dataset.from_tensors((images, labels)).repeat())
    run_steps = make_run_steps(sagan, tf.distribute.get_strategy())
    wait(run_steps(batches, tf.constant(2)))
    start = time.perf_counter()
    wait(run_steps(batches, tf.constant(STEPS)))
    wall = (time.perf_counter() - start) / STEPS
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            wait(run_steps(batches, tf.constant(STEPS)))
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    (plane,) = (plane for plane in space.planes if plane.name == "/host:CPU")
    times = collections.Counter()
    for line in plane.lines:
        for event in line.events:
            name, _, operation = plane.event_metadata[event.metadata_id].name.rpartition(":")
            # Of an operation the name is its place in the graph; other events are around it.
            if "/" in name:
                times[kind_of(name, operation)] += event.duration_ps / 1e9 / STEPS
    return wall, times


def kind_of(name, operation):
    """The kind of work that an operation of the graph does."""
    if "Conv2D" in operation:
        return "convolutions"
    if operation == "ResourceApplyAdam":
        return "Adam"
    if "attention" in name:
        return "attention, apart from its convolutions"
    if "norm_" in name or "output_norm" in name:
        return "batch norm"
    if any(part in name for part in ("/conv_", "/shortcut", "convolution", "dense", "embedding")):
        return "spectral norm, biases, dense layers"
    return "the rest: ReLU, pooling, sums of gradients, the moving average"


if __name__ == "__main__":
    main()
