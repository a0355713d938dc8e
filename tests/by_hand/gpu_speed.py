"""Speed of training steps on a GPU: ours in several forms, and PyTorch's, where it is installed.

python -m tests.by_hand.gpu_speed --out=speed.json
python -m tests.by_hand.gpu_speed --device=cpu --small --waves=1   # without a GPU

Each case is a process of its own. The cases of a wave compile at the same time; then each is timed
alone, in several rounds that alternate between the cases. Ours is the loop of the command, on
bytes that come from the host; PyTorch's images are on the device already (`torch_step`).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 3
LEAST_SECONDS = 0.4  # of a round
# FLOPs of a step for an image at 128 pixels and 64 filters, and a GPU's peak with bfloat16.
FLOP_PER_IMAGE, PEAK = 106e9, 989e12

LARGE = {"image_size": 128, "base_filters": 64, "num_classes": 1000}
DIGITS = {"image_size": 16, "base_filters": 16, "num_classes": 10, "channels": 1}
GEOTEX = {"image_size": 32, "base_filters": 16, "num_classes": 8}
SMALL = {"image_size": 16, "base_filters": 8, "num_classes": 10}
B128, B32 = {**LARGE, "batch_size": 128}, {**LARGE, "batch_size": 32}
BFLOAT16 = {"dtype": "mixed_bfloat16"}
TORCH = {"torch": True, "dtype": "bfloat16", "tf32": True, "channels_last": True}
# The cases of a wave fit into 130 GiB together.
WAVES = [
    {
        "float32": B128,
        "float32, without the layout optimizer": {**B128, "layout": False},
        "float32, XLA": {**B128, "xla": True},
        "bfloat16": {**B128, **BFLOAT16},
    },
    {
        "bfloat16, XLA": {**B128, **BFLOAT16, "xla": True},
        "PyTorch, TF32": {**B128, **TORCH, "dtype": "float32"},
        "PyTorch, bfloat16": {**B128, **TORCH},
        "PyTorch, bfloat16, compiled": {**B128, **TORCH, "compile": "default"},
    },
    {
        "32 images, float32": B32,
        "32 images, float32, XLA": {**B32, "xla": True},
        "32 images, bfloat16": {**B32, **BFLOAT16},
        "32 images, bfloat16, XLA": {**B32, **BFLOAT16, "xla": True},
        "32 images, PyTorch, bfloat16": {**B32, **TORCH},
        "32 images, PyTorch, bfloat16, compiled": {**B32, **TORCH, "compile": "default"},
        "digits": {**DIGITS, "batch_size": 32},
        "digits, XLA": {**DIGITS, "batch_size": 32, "xla": True},
        "geotex": {**GEOTEX, "batch_size": 32},
        "geotex, XLA": {**GEOTEX, "batch_size": 32, "xla": True},
    },
]


def ours(device, case):
    """A function that runs a number of our steps, and facts."""
    import keras
    import tensorflow as tf

    from sagan_tf.benchmark.networks import make_sagan
    from sagan_tf.training.loop import make_run_steps

    case = dict(case)
    batch_size, layout = case.pop("batch_size"), case.pop("layout", True)
    tf.config.optimizer.set_experimental_options({"layout_optimizer": layout})
    keras.utils.set_random_seed(0)
    sagan = make_sagan(**case)
    shape = (batch_size, case["image_size"], case["image_size"], case.get("channels", 3))
    images = tf.cast(tf.random.stateless_uniform(shape, (0, 0), 0, 256, tf.int32), tf.uint8)
    labels = tf.range(batch_size) % case["num_classes"]
    batches = iter(tf.data.Dataset.from_tensors((images, labels)).repeat())
    run_steps = make_run_steps(sagan, tf.distribute.get_strategy())

    def run(count):
        losses = run_steps(batches, tf.constant(count))
        return {name: float(loss) for name, loss in losses.items()}

    def facts():
        if device == "cpu":
            return {}
        return {"peak MiB": tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20}

    return run, facts


def torchs(device, case):
    """A function that runs a number of PyTorch's steps, and facts."""
    from tests.by_hand.torch_step import TorchStep

    usual = {"threads": 0, "tf32": True, "channels_last": True, "compile": None}
    usual |= {"cheap_shortcuts": False, "discriminator_filters": None, "expect_parameters": None}
    usual |= {"device": "cuda" if device == "gpu" else "cpu"}
    given = argparse.Namespace(**{**usual, **{k: v for k, v in case.items() if k != "torch"}})
    step = TorchStep(given)

    def run(count):
        for _ in range(count):
            losses = step.step()
        return [float(loss) for loss in losses]

    return run, step.facts


def serve(device, case):
    """Compiles, says so, and then answers each line of the standard input with a timing."""
    answers = os.fdopen(os.dup(1), "w")  # a library may print to the standard output
    os.dup2(2, 1)
    started = time.perf_counter()
    run, facts = (torchs if case.get("torch") else ours)(device, case)
    run(1)
    compiled = time.perf_counter() - started
    run(2)
    started = time.perf_counter()
    run(2)
    steps = max(2, round(2 * LEAST_SECONDS / (time.perf_counter() - started)))
    print(json.dumps({"seconds to compile": compiled}), file=answers, flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        losses = run(steps)
        seconds = (time.perf_counter() - started) / steps
        found = {"seconds": seconds, "losses": losses, **facts()}
        print(json.dumps(found), file=answers, flush=True)


class Case:
    """A case in its process."""

    def __init__(self, name, device, small, case):
        self.name, self.batch_size = name, case["batch_size"]
        command = [sys.executable, "-m", __spec__.name, f"--case={json.dumps(case)}"]
        self.log = Path(f"/tmp/gpu_speed_{os.getpid()}_{name.replace(' ', '_')}.log")
        self.process = subprocess.Popen(
            [*command, f"--device={device}", *["--small"] * small],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
        )
        self.times, self.facts = [], {}

    def answer(self):
        """Takes over the process's answer; whether there was one."""
        line = self.process.stdout.readline()
        if not line:
            self.facts["error"] = self.log.read_text()[-600:]
            return False
        self.facts |= json.loads(line)
        return True

    def turn(self):
        if "error" not in self.facts:
            print("time", file=self.process.stdin, flush=True)
            if self.answer():
                self.times.append(self.facts.pop("seconds"))

    def found(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        if not self.times:
            return self.facts
        seconds = statistics.median(self.times)
        speed = self.batch_size / seconds
        return {"ms": 1000 * seconds, "images/s": speed, "all ms": [1000 * t for t in self.times],
                **self.facts}  # fmt: skip


def measure_wave(wave, device, small):
    """Times the cases of a wave in turn, once all have compiled."""
    cases = []
    for name, case in wave.items():
        case = {**case, **SMALL, "batch_size": 8} if small else case
        cases.append(Case(name, device, small, case))
    for case in cases:
        case.answer()
    for _ in range(ROUNDS):
        for case in cases:
            case.turn()
    return {case.name: case.found() for case in cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--small", action="store_true", help="networks of 16 pixels")
    parser.add_argument("--waves", default="1,2,3", help="numbers of waves, by commas")
    parser.add_argument("--out", help="a file for the JSON, which has what it had before, too")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        if given.device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        serve(given.device, json.loads(given.case))
        return
    out = given.out and Path(given.out)
    found = json.loads(out.read_text()) if out and out.exists() else {}
    for number in given.waves.split(","):
        for name, facts in measure_wave(WAVES[int(number) - 1], given.device, given.small).items():
            found[name] = facts
            print(f"{name:42} {_line(facts)}", flush=True)
        if out:
            out.write_text(json.dumps(found, indent=1) + "\n")


def _line(facts):
    if "error" in facts:
        return f"FAILED {facts['error']}"
    share = facts["images/s"] * FLOP_PER_IMAGE / PEAK  # of networks for 128 pixels
    return f"{facts['ms']:9.2f} ms {facts['images/s']:9.1f} images/s {share:6.1%}"


if __name__ == "__main__":
    main()
