"""Whether a GPU does with the package what it should: numbers, memory, the loop, the commands.

python -m tests.by_hand.gpu_smoke --at_once=4 --out=gpu.json
python -m tests.by_hand.gpu_smoke --device=cpu --small   # the same parts, small, without a GPU

Each part runs in a process of its own with a time limit, so that one that hangs or breaks hides
none of the others. Everything found is written as JSON and printed as a table. `gpu_speed` has
the speeds.
"""

import argparse
import concurrent.futures
import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.by_hand.gpu_model import make_model, wait
from tests.by_hand.gpu_trace import trace

LIMIT = 400  # seconds for a part; XLA compiles a step at 128 pixels for four minutes
FULL = {"image_size": 128, "base_filters": 64, "num_classes": 1000, "batch_size": 16}
SMALL = {"image_size": 16, "base_filters": 8, "num_classes": 10, "batch_size": 8}
# Norms of differences of gradients from those in float64, relative to their norm; TF32 has ten
# bits. The largest difference says less: a ReLU that rounding switches changes one number by 2e-3
# of the largest, on a CPU as well.
EXACT, TF32, BFLOAT16 = 1e-3, 2e-2, 1e-1


def environment(device, sizes):
    """What there is, and how long the first operation takes: a driver may compile kernels then."""
    import tensorflow as tf

    from sagan_tf.machine.devices import in_words, use_device

    use_device(device)
    started = time.perf_counter()
    float(tf.reduce_sum(tf.ones((64, 64)) @ tf.ones((64, 64))))
    return {
        "device": in_words(),
        "tensorflow": tf.__version__,
        "cuda": tf.sysconfig.get_build_info().get("cuda_version", "none"),
        "seconds_of_first_operation": time.perf_counter() - started,
    }


def numbers(device, sizes):
    """Gradients of one update on the device against those of the CPU in float64."""
    import numpy as np
    import tensorflow as tf

    gpu = "GPU:0" if device == "gpu" else "CPU:0"

    with tf.device("CPU:0"):
        model, _ = make_model(sizes)
    weights = [model.generator.get_weights(), model.discriminator.get_weights()]

    def gradients(where, **settings):
        with tf.device(where):
            sagan, batch = make_model(sizes, **settings)
            sagan.generator.set_weights(weights[0])
            sagan.discriminator.set_weights(weights[1])
            noise = sagan.noise.of_replica(0, 0, sizes["batch_size"])
            found, _ = sagan.gradients.of_part["discriminator"](True, *batch, *noise)
            return np.concatenate([np.ravel(gradient) for gradient in found])

    exact = gradients("CPU:0", dtype="float64")
    found = {}
    for name, tf32, settings in (
        ("float32", False, {}),
        ("TF32", True, {}),
        ("XLA", False, {"xla": True}),
        ("bfloat16", True, {"dtype": "mixed_bfloat16"}),
    ):
        tf.config.experimental.enable_tensor_float_32_execution(tf32)
        difference = gradients(gpu, **settings) - exact
        found[f"{name}: difference"] = float(np.linalg.norm(difference) / np.linalg.norm(exact))
        found[f"{name}: largest difference"] = float(np.abs(difference).max() / np.abs(exact).max())
    found["ok"] = (
        found["float32: difference"] <= EXACT
        and found["XLA: difference"] <= EXACT
        and found["TF32: difference"] <= TF32
        and found["bfloat16: difference"] <= BFLOAT16
    )
    return found


def deterministic(device, sizes):
    """Whether three steps in fixed order, twice, give the same weights, bit by bit."""
    import numpy as np
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()  # before anything chooses kernels
    found = []
    for _ in range(2):
        sagan, batch = make_model(sizes)
        step = tf.function(sagan.train_step)
        for _ in range(3):
            wait(step(batch))
        found.append(sagan.generator.get_weights() + sagan.discriminator.get_weights())
    equal = [bool(np.array_equal(*pair)) for pair in zip(*found, strict=True)]
    return {"equal variables": sum(equal), "variables": len(equal), "ok": all(equal)}


def memory(device, sizes):
    """The estimate of `--dry_run` beside what a step takes."""
    import tensorflow as tf

    from sagan_tf.training import cost

    found = {}
    for dtype in ("float32", "mixed_bfloat16"):
        sagan, batch = make_model(sizes, dtype=dtype)
        estimated = cost.training_bytes(
            sagan.generator, sagan.discriminator, sizes["batch_size"], ema=False
        )
        found[f"{dtype}: estimated MiB"] = estimated / 2**20
        if device == "gpu":
            tf.config.experimental.reset_memory_stats("GPU:0")
            tf.function(sagan.train_step)(batch)
            peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
            found[f"{dtype}: measured MiB"] = peak / 2**20
    return found


def loop(device, sizes):
    """Images a second of the command on prepared pictures, which the input must keep up with."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    side, batch = sizes["image_size"], sizes["batch_size"]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(16 * batch):
            path = Path(folder, "pictures", str(number % 8), f"{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
            coarse.resize((side, side)).save(path, compress_level=1)
        data = f"{folder}/prepared"
        _run("prepare", f"--dataset=folder:{folder}/pictures", f"--image_size={side}",
             f"--out={data}")  # fmt: skip
        for name, flags in (
            ("float32", ["--noxla"]),
            ("bfloat16, XLA", ["--dtype_policy=mixed_bfloat16", "--xla"]),
        ):
            _run("train", f"--dataset=prepared:{data}", f"--workdir={folder}/{name}", "--steps=60",
                 f"--device={device}", f"--global_batch_size={batch}", "--preset=released",
                 f"--base_filters={sizes['base_filters']}", f"--image_size={side}",
                 f"--attention_resolutions={side // 2}", "--log_every=20",
                 "--sample_every=1000", *flags)  # fmt: skip
            lines = Path(folder, name, "metrics.jsonl").read_text().splitlines()
            found[f"{name}: images per second"] = json.loads(lines[-1])["images_per_second"]
    return found


def replicas(device, sizes):
    """The loss after three steps of one replica and of two, with and without XLA."""
    import tensorflow as tf

    from sagan_tf.training.loop import make_run_steps

    kind = device.upper()
    physical = tf.config.list_physical_devices(kind)[0]
    memory_limit = {"memory_limit": 8192} if device == "gpu" else {}
    configuration = tf.config.LogicalDeviceConfiguration(**memory_limit)
    tf.config.set_logical_device_configuration(physical, [configuration] * 2)
    names = [f"{kind}:0", f"{kind}:1"]
    reduction = None if device == "gpu" else tf.distribute.ReductionToOneDevice()
    found = {}
    for count in (1, 2):
        strategy = tf.distribute.MirroredStrategy(names[:count], cross_device_ops=reduction)
        for xla in (False, True):
            with strategy.scope():
                sagan, batch = make_model(sizes, xla=xla)
            shares = [tf.reshape(part, (count, -1, *part.shape[1:])) for part in batch]
            dataset = tf.data.Dataset.from_tensor_slices(tuple(shares)).repeat()
            batches = iter(strategy.distribute_datasets_from_function(lambda _, data=dataset: data))
            losses = make_run_steps(sagan, strategy)(batches, tf.constant(3))
            name = f"{count} replica{'s' * (count > 1)}{', XLA' * xla}"
            found[name] = float(losses["discriminator_loss"])
    found["ok"] = all(
        abs(found[f"{name}, XLA"] / found[name] - 1) < 0.01 for name in ("1 replica", "2 replicas")
    )
    return found


def commands(device, sizes):
    """A run that SIGTERM stops and the same command ends, sampled and scored."""
    import signal

    with tempfile.TemporaryDirectory() as folder:
        run = [f"--workdir={folder}/run", f"--device={device}"]
        train = ["train", "--dataset=digits", *run, "--steps=300", "--noxla"]
        train += ["--checkpoint_every=100"]
        process = _start(*train)
        while not list(Path(folder, "run", "checkpoints").glob("step-100.index")):
            if process.poll() is not None:
                raise RuntimeError(process.communicate()[1][-500:])
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        stopped = process.returncode
        outputs = [_run(*train), _run("sample", *run, f"--out={folder}/grid.png")]
        outputs.append(
            _run("evaluate", *run, "--num_images=200", "--num_real=500", f"--cache_dir={folder}")
        )
    return {
        "status after SIGTERM": stopped,
        "resumed": "resumed at step" in outputs[0],
        "said": outputs[1].splitlines()[0],
        "ok": stopped == 128 + signal.SIGTERM and "resumed at step" in outputs[0],
    }


PARTS = {
    part.__name__: part
    for part in (environment, numbers, deterministic, memory, trace, loop, replicas, commands)
}


def _start(name, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", f"sagan_tf.{name}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(name, *arguments):
    process = _start(name, *arguments)
    output, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{name}: {errors[-500:]}")
    return output


def smoke(device, small, only, limit=LIMIT, at_once=1):
    """What each part found, or why it found nothing; `at_once` parts run at the same time."""
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "host": f"{os.cpu_count()} CPUs, {platform.machine()}",
    }
    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        results = threads.map(lambda name: _found_by(name, device, small, limit), only)
        for name, result in zip(only, results, strict=True):
            found[name] = {"ok": "error" not in result, **result}
            print(
                f"{name:12} {'ok' if found[name]['ok'] else 'FAILED':8} {json.dumps(result)}",
                flush=True,
            )
    return found


def _found_by(name, device, small, limit):
    """What a part finds in a process of its own."""
    started = time.perf_counter()
    command = [sys.executable, "-m", __spec__.name, f"--part={name}", f"--device={device}"]
    try:
        done = subprocess.run(
            command + ["--small"] * small, capture_output=True, text=True, timeout=limit
        )
        lines = done.stdout.strip().splitlines()
        result = json.loads(lines[-1]) if done.returncode == 0 else {"error": done.stderr[-800:]}
    except subprocess.TimeoutExpired:
        result = {"error": f"not done after {limit} s"}
    return {**result, "seconds": round(time.perf_counter() - started, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--small", action="store_true", help="networks of 16 pixels")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--at_once", type=int, default=1, help="parts that run at the same time")
    parser.add_argument("--limit", type=int, default=LIMIT, help="seconds for a part")
    parser.add_argument("--out", help="a file for the JSON")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # parts share the GPU
        if given.device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        with contextlib.redirect_stdout(io.StringIO()):
            result = PARTS[given.part](given.device, SMALL if given.small else FULL)
        print(json.dumps(result))
        return
    found = smoke(given.device, given.small, given.only.split(","), given.limit, given.at_once)
    if given.out:
        Path(given.out).write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(not all(found[name]["ok"] for name in given.only.split(",")))


if __name__ == "__main__":
    main()
