"""What a GPU does with the package, in under ten minutes: numbers, memory, speed, the commands.

python -m tests.by_hand.gpu_smoke --out=gpu.json
python -m tests.by_hand.gpu_smoke --device=cpu --small   # the same parts, small, without a GPU

Each part runs in a process of its own with a time limit, so that one that hangs or breaks hides
none of the others. Everything found is written as JSON and printed as a table.
"""

import argparse
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

LIMIT = 120  # seconds for a part
FULL = {"image_size": 128, "base_filters": 64, "num_classes": 1000, "batch_size": 64}
SMALL = {"image_size": 16, "base_filters": 8, "num_classes": 10, "batch_size": 8}
# Of gradients, relative to the largest: exact float32, TF32's ten bits.
EXACT, TF32 = 1e-4, 5e-3


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
    """Gradients of one update on the device against those of the CPU, and twice the same."""
    import numpy as np
    import tensorflow as tf

    gpu = "GPU:0" if device == "gpu" else "CPU:0"

    def gradients(where="CPU:0", **settings):
        with tf.device(where):
            sagan, batch = _model(sizes, **settings)
            noise = sagan.noise.of_replica(0, 0, sizes["batch_size"])
            found, _ = sagan.gradients.of_part["discriminator"](True, *batch, *noise)
            return np.concatenate([np.ravel(gradient) for gradient in found])

    exact = gradients()
    found = {}
    for name, tf32, settings in (
        ("float32", False, {}),
        ("TF32", True, {}),
        ("XLA", False, {"xla": True}),
        ("bfloat16", True, {"dtype": "mixed_bfloat16"}),
    ):
        tf.config.experimental.enable_tensor_float_32_execution(tf32)
        ours = gradients(gpu, **settings)
        found[f"{name}: largest difference"] = float(
            np.abs(ours - exact).max() / np.abs(exact).max()
        )
        cosine = float(ours @ exact / np.linalg.norm(ours) / np.linalg.norm(exact))
        found[f"{name}: cosine"] = cosine
    tf.config.experimental.enable_op_determinism()
    found["deterministic twice: equal"] = bool((gradients(gpu) == gradients(gpu)).all())
    found["ok"] = (
        found["float32: largest difference"] <= EXACT
        and found["TF32: largest difference"] <= TF32
        and found["XLA: largest difference"] <= EXACT
        and found["bfloat16: cosine"] > 0.99
        and found["deterministic twice: equal"]
    )
    return found


def memory(device, sizes):
    """The estimate of `--dry_run` beside what a step takes."""
    import tensorflow as tf

    from sagan_tf.training import cost

    found = {}
    for dtype in ("float32", "mixed_bfloat16"):
        sagan, batch = _model(sizes, dtype=dtype)
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


def speed(device, sizes):
    """Training steps on a batch that is there already, in images a second."""
    import tensorflow as tf

    found = {}
    for name, layout, settings in (
        ("as it is", True, {}),
        ("without the layout optimizer", False, {}),
        ("XLA", True, {"xla": True}),
        ("bfloat16", True, {"dtype": "mixed_bfloat16"}),
        ("bfloat16, XLA", True, {"dtype": "mixed_bfloat16", "xla": True}),
    ):
        tf.config.optimizer.set_experimental_options({"layout_optimizer": layout})
        sagan, batch = _model(sizes, **settings)
        step = tf.function(sagan.train_step)
        started = time.perf_counter()
        _wait(step(batch))
        found[f"{name}: seconds to compile"] = time.perf_counter() - started
        found[name] = sizes["batch_size"] / _seconds(step, batch)
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
                sagan, batch = _model(sizes, xla=xla)
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
        train = ["train", "--dataset=digits", *run, "--steps=300", "--checkpoint_every=100"]
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


PARTS = {part.__name__: part for part in (environment, numbers, memory, speed, replicas, commands)}


def _model(sizes, **settings):
    """A model with always the same weights, and a batch on which to train it."""
    import keras
    import tensorflow as tf

    from sagan_tf.benchmark.networks import make_sagan

    keras.utils.set_random_seed(0)
    sizes = dict(sizes)
    batch_size = sizes.pop("batch_size")
    sagan = make_sagan(ema_decay=0.0, **sizes, **settings)
    side, classes = sizes["image_size"], sizes["num_classes"]
    images = tf.random.stateless_uniform((batch_size, side, side, 3), (0, 0), -1.0, 1.0)
    return sagan, (images, tf.range(batch_size) % classes)


def _wait(results):
    for result in results.values():
        result.numpy()


def _seconds(step, batch, rounds=5):
    """Of a step, the least of some rounds."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        _wait(step(batch))
        seconds.append(time.perf_counter() - started)
    return min(seconds)


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


def smoke(device, small, only, limit=LIMIT):
    """What each part found, or why it found nothing."""
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "host": f"{os.cpu_count()} CPUs, {platform.machine()}",
    }
    for name in only:
        started = time.perf_counter()
        command = [sys.executable, "-m", __spec__.name, f"--part={name}", f"--device={device}"]
        try:
            done = subprocess.run(
                command + ["--small"] * small, capture_output=True, text=True, timeout=limit
            )
            lines = done.stdout.strip().splitlines()
            result = (
                json.loads(lines[-1]) if done.returncode == 0 else {"error": done.stderr[-800:]}
            )
        except subprocess.TimeoutExpired:
            result = {"error": f"not done after {limit} s"}
        result["seconds"] = round(time.perf_counter() - started, 1)
        found[name] = {"ok": "error" not in result, **result}
        print(
            f"{name:12} {'ok' if found[name]['ok'] else 'FAILED':8} {json.dumps(result)}",
            flush=True,
        )
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--small", action="store_true", help="networks of 16 pixels")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--out", help="a file for the JSON")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if given.device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        with contextlib.redirect_stdout(io.StringIO()):
            result = PARTS[given.part](given.device, SMALL if given.small else FULL)
        print(json.dumps(result))
        return
    found = smoke(given.device, given.small, given.only.split(","))
    if given.out:
        Path(given.out).write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(not all(found[name]["ok"] for name in given.only.split(",")))


if __name__ == "__main__":
    main()
