"""Images a second of ours and torch-fidelity's Inception features, in turn in one process.

python -m tests.by_hand.fidelity_speed [rounds]
"""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from sagan_tf.evaluation.inception import InceptionExtractor
from tests.support import fidelity, inception_files

BATCH_SIZE = 16
TAPS = ("2048", "logits_unbiased")


def seconds(extractor, images):
    """Of the wall and of the process's CPU."""
    wall, processor = time.perf_counter(), time.process_time()
    extractor(images)
    return time.perf_counter() - wall, time.process_time() - processor


def main(rounds=10):
    with tempfile.TemporaryDirectory() as folder:
        weights = inception_files.write_torch(
            Path(folder) / "weights.pth", inception_files.random_state()
        )
        extractors = {
            "sagan_tf": InceptionExtractor(weights, taps=TAPS),
            "torch-fidelity": fidelity.Extractor(weights, TAPS),
        }
    rng = np.random.default_rng(0)
    for size in (32, 128):
        images = rng.integers(0, 256, (BATCH_SIZE, size, size, 3), np.uint8)
        for extractor in extractors.values():
            seconds(extractor, images)
        times = {name: [] for name in extractors}
        for _ in range(rounds):
            for name, extractor in extractors.items():
                times[name].append(seconds(extractor, images))
        for name, values in times.items():
            wall, processor = np.median(values, axis=0)
            print(
                f"{size:4} pixels  {name:15} {BATCH_SIZE / wall:6.2f} images/s"
                f"  {processor / BATCH_SIZE:.3f} CPU seconds/image"
            )
        ours, theirs = (np.array(values) for values in times.values())
        quartiles = np.quantile((theirs / ours), [0.25, 0.5, 0.75], axis=0)
        for what, (low, middle, high) in zip(("wall", "CPU"), quartiles.T, strict=True):
            print(f"{size:4} pixels  ratio, {what:4} {middle:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
