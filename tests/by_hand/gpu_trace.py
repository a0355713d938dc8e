"""What a device does in the steps of the training loop; a part of `gpu_smoke`."""

import collections
import tempfile
from pathlib import Path

from tests.by_hand.gpu_model import make_model, wait


def trace(device, sizes):
    """What the device does in three steps of the training loop: kernels, copies, time without."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    from sagan_tf.training.loop import make_run_steps

    found = {}
    for xla in (False, True):
        sagan, (images, labels) = make_model(sizes, xla=xla)
        images = tf.cast((images + 1) * 127.5, tf.uint8)
        batches = iter(tf.data.Dataset.from_tensors((images, labels)).repeat())
        run_steps = make_run_steps(sagan, tf.distribute.get_strategy())
        wait(run_steps(batches, tf.constant(2)))
        with tempfile.TemporaryDirectory() as folder:
            with tf.profiler.experimental.Profile(folder):
                wait(run_steps(batches, tf.constant(3)))
            (path,) = Path(folder).rglob("*.xplane.pb")
            space = xplane_pb2.XSpace.FromString(path.read_bytes())
        found["XLA" if xla else "as it is"] = _of_planes(space, device)
    return found


def _of_planes(space, device):
    """Counts per step of the events on the device, and the share of the time without any."""
    name = "/device:GPU:0" if device == "gpu" else "/host:CPU"
    plane = next(plane for plane in space.planes if plane.name == name)
    names = {number: meta.name for number, meta in plane.event_metadata.items()}
    counts, spans, times = collections.Counter(), [], collections.Counter()
    for line in plane.lines:
        if device == "gpu" and not line.name.startswith("Stream"):
            continue
        for event in line.events:
            kind = names[event.metadata_id]
            copies = ("MemcpyD2H", "MemcpyH2D", "MemcpyD2D", "Memset")
            counts[next((copy for copy in copies if copy in kind), "kernels")] += 1
            start = line.timestamp_ns * 1000 + event.offset_ps
            spans.append((start, start + event.duration_ps))
            times[kind[:60]] += event.duration_ps / 3e9
    spans.sort()
    busy, end = 0, 0
    for start, stop in spans:
        busy += max(0, stop - max(start, end))
        end = max(end, stop)
    idle = 1 - busy / (end - spans[0][0]) if spans else None
    longest = {name: round(ms, 3) for name, ms in times.most_common(40)}
    counts = {name: count / 3 for name, count in sorted(counts.items())}
    return {"idle": idle, **counts, "ms by kernel": longest}
