"""Images per second of the input pipeline by number of threads, and what 8 GPUs would need.

python -m tests.by_hand.input_speed
python -m tests.by_hand.input_speed --rounds=3 --images=2000

JPEGs of ImageNet's usual size are resized to 128 pixels; the same pictures are read prepared, and
from memory, where training keeps the images of small data sets. Each is the share of one of 8
replicas, as bytes (`scaled=False`), as training reads it. The rounds are interleaved; the table has
medians.
"""

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sagan_tf import prepare
from sagan_tf.benchmark.start_cases import write_jpegs
from sagan_tf.data import batches, load_source, loading
from sagan_tf.data.read_ahead import KEPT_BYTES

SIZE, BATCH, REPLICAS = 128, 256, 8
THREADS = (1, 2, 4)
NEEDED = 16_000  # images a second: 8 GPUs at 2,000, as one H200 takes with XLA and bfloat16


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--images", type=int, default=8000, help="of prepared pictures, a round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.rounds, options.images)


def measure(folder, rounds, images):
    write_jpegs(folder / "jpeg" / "all")
    name = f"folder:{folder / 'jpeg'}"
    prepare.main(prepare.Settings(dataset=name, image_size=SIZE, out=str(folder / "prepared")))
    sources = {"JPEG": load_source(name), "prepared": load_source(f"prepared:{folder}/prepared")}
    sources["kept"] = sources["prepared"]
    counts = {"JPEG": images // 16, "prepared": images, "kept": images}
    found = {(kind, threads): [] for kind in sources for threads in THREADS}
    for _ in range(rounds):
        for (kind, threads), results in found.items():
            results.append(read(sources[kind], threads, counts[kind], kind == "kept"))
    for (kind, threads), results in found.items():
        rate, cost = (statistics.median(values) for values in zip(*results, strict=True))
        print(
            f"{kind:8} {threads} threads: {rate:6.0f} images/s, {cost * 1e6:5.0f} us of a core "
            f"an image; {NEEDED} images/s take {NEEDED * cost:.1f} cores",
            flush=True,
        )


def read(source, threads, count, kept):
    """Images per second once every image was read, and seconds of a core for each."""
    with ThreadPoolExecutor(threads) as pool:
        loading._threads = lambda: pool
        iterator = iter(
            batches(
                source,
                image_size=SIZE,
                seed=0,
                start_step=0,
                global_batch_size=BATCH,
                num_replicas=REPLICAS,
                scaled=False,
                keep_bytes=KEPT_BYTES if kept else 0,
            )
        )
        for _ in range(-(-source.num_examples * REPLICAS // BATCH) + REPLICAS):
            next(iterator)
        start, start_cpu, done = time.perf_counter(), time.process_time(), 0
        while done < count:
            done += next(iterator)[0].shape[0]
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        del iterator
    return done / seconds, cpu / done


if __name__ == "__main__":
    main()
