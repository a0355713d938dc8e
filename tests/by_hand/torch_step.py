"""Speed of the training step in PyTorch, alone or in turn with ours, as a line of JSON.

python -m tests.by_hand.torch_step --device=cuda --dtype=bfloat16 --tf32 --channels_last --compile
python -m tests.by_hand.torch_step --against_ours --image_size=64 --base_filters=32 --num_classes=10

A step is an update of the discriminator on N real and N generated images in one pass, an update of
the generator on N images, and the moving average of its weights, on images that are there already.
The first steps, which also compile, are not timed.
Without `--against_ours` it needs PyTorch alone. The numbers of trainable parameters must be those
of our networks, which are built where TensorFlow is installed, or of `--expect_parameters`.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time

EMA_DECAY = 0.999
WARM_UP_STEPS = 3


class TorchStep:
    """The training step in PyTorch; `once` returns when the device has done it."""

    def __init__(self, given):
        import torch

        from tests.by_hand import torch_networks

        self.torch, self.given = torch, given
        torch.manual_seed(0)
        if given.threads:
            torch.set_num_threads(given.threads)
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = given.tf32
        side, classes = given.image_size, given.num_classes
        layout = torch.channels_last if given.channels_last else torch.contiguous_format
        networks = [
            network(side, filters, classes, given.cheap_shortcuts).to(
                given.device, memory_format=layout
            )
            for network, filters in (
                (torch_networks.Generator, given.base_filters),
                (torch_networks.Discriminator, discriminator_filters(given)),
            )
        ]
        self.parameters = [sum(p.numel() for p in network.parameters()) for network in networks]
        self.generator, self.discriminator = networks
        self.generator_weights = list(self.generator.parameters())
        self.average = [weight.detach().clone() for weight in self.generator_weights]
        self.optimizers = [
            torch.optim.Adam(network.parameters(), rate, betas=(0.0, 0.999), eps=1e-7, fused=True)
            for network, rate in zip(networks, (1e-4, 4e-4), strict=True)
        ]
        self.generate, self.judge = self.generator, self.discriminator
        if given.compile:
            self.generate, self.judge = (
                torch.compile(network, mode=given.compile) for network in networks
            )
        images = torch.rand(given.batch_size, 3, side, side, device=given.device) * 2 - 1
        self.images = images.contiguous(memory_format=layout)
        self.labels = torch.arange(given.batch_size, device=given.device) % classes

    def noise(self):
        torch, given = self.torch, self.given
        latents = torch.randn(given.batch_size, 128, device=given.device)
        return latents, torch.randint(given.num_classes, (given.batch_size,), device=given.device)

    def autocast(self):
        bfloat16 = self.given.dtype == "bfloat16"
        return self.torch.autocast(self.given.device, dtype=self.torch.bfloat16, enabled=bfloat16)

    def update_discriminator(self):
        torch = self.torch
        self.discriminator.train().requires_grad_(True)
        latents, fake_labels = self.noise()
        # Each in its own autocast: a cast weight that was cached without gradients has none.
        with torch.no_grad(), self.autocast():
            fake_images = self.generate(latents, fake_labels)
        with self.autocast():
            logits = self.judge(
                torch.cat([self.images, fake_images]), torch.cat([self.labels, fake_labels])
            )
        real_logits, fake_logits = logits.chunk(2)
        loss = torch.relu(1 - real_logits).mean() + torch.relu(1 + fake_logits).mean()
        return self.descend(self.optimizers[1], loss)

    def update_generator(self):
        # Its weights need no gradients here, and its singular vectors stay, as in our step.
        self.discriminator.eval().requires_grad_(False)
        latents, labels = self.noise()
        with self.autocast():
            loss = -self.judge(self.generate(latents, labels), labels).mean()
        return self.descend(self.optimizers[0], loss)

    def descend(self, optimizer, loss):
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def step(self):
        losses = self.update_discriminator(), self.update_generator()
        with self.torch.no_grad():
            self.torch._foreach_lerp_(self.average, self.generator_weights, 1 - EMA_DECAY)
        return losses

    def once(self):
        losses = self.step()
        if self.given.device == "cuda":
            self.torch.cuda.synchronize()
        return [float(loss) for loss in losses]

    def facts(self):
        torch = self.torch
        cuda = self.given.device == "cuda"
        return {
            "version": f"torch {torch.__version__}",
            "device_name": torch.cuda.get_device_name() if cuda else _processor(),
            "threads": torch.get_num_threads(),
            "peak_device_mib": torch.cuda.max_memory_allocated() / 2**20 if cuda else None,
            "peak_reserved_mib": torch.cuda.max_memory_reserved() / 2**20 if cuda else None,
        }


class OurStep:
    """Our training step, of `sagan_tf.benchmark.networks.make_sagan`."""

    def __init__(self, given):
        from sagan_tf.machine import startup

        startup.set_environment()  # as every command does
        import keras
        import tensorflow as tf

        from sagan_tf.benchmark.networks import make_sagan, random_batches

        self.tf, self.given = tf, given
        if given.device == "cpu":
            tf.config.set_visible_devices([], "GPU")
        for gpu in tf.config.get_visible_devices("GPU"):  # shared with PyTorch
            tf.config.experimental.set_memory_growth(gpu, True)
        if given.threads:
            tf.config.threading.set_intra_op_parallelism_threads(given.threads)
        tf.config.experimental.enable_tensor_float_32_execution(given.tf32)
        keras.utils.set_random_seed(0)
        sagan = make_sagan(
            xla=given.xla,
            ema_decay=EMA_DECAY,
            image_size=given.image_size,
            base_filters=given.base_filters,
            num_classes=given.num_classes,
            dtype="mixed_bfloat16" if given.dtype == "bfloat16" else "float32",
        )
        self.parameters = [
            sum(int(weight.shape.num_elements()) for weight in _values(network))
            for network in (sagan.generator, sagan.discriminator)
        ]
        self.batch = next(random_batches(sagan, given.batch_size))
        self.function = tf.function(sagan.train_step)

    def once(self):
        scalars = {name: float(value) for name, value in self.function(self.batch).items()}
        return [scalars["discriminator_loss"], scalars["generator_loss"]]

    def facts(self):
        tf, peak = self.tf, None
        if self.given.device == "cuda":
            peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
        return {"version": f"tensorflow {tf.__version__}", "peak_device_mib": peak}


def _values(network):
    return [variable.value for variable in network.trainable_variables]


def _processor():
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    return "unknown"


def discriminator_filters(given):
    return given.discriminator_filters or given.base_filters


def our_parameters(given):
    """(generator, discriminator): trainable parameters of our networks, built without a device."""
    from sagan_tf.benchmark.networks import make_networks

    counts = []
    for part, filters in enumerate((given.base_filters, discriminator_filters(given))):
        network = make_networks(given.image_size, filters, num_classes=given.num_classes)[part]
        counts.append(sum(int(value.shape.num_elements()) for value in _values(network)))
    return counts


def check_parameters(found, given):
    """How PyTorch's parameters were compared with ours; ends the program where they differ."""
    if given.expect_parameters:
        how, expected = "flag", [int(count) for count in given.expect_parameters.split(",")]
    elif all(importlib.util.find_spec(name) for name in ("tensorflow", "sagan_tf")):
        # In a process of its own, as TensorFlow would take the GPU's memory.
        counted = subprocess.run(
            [*_command(), "--part=count"], env=_without_gpu(), stdout=subprocess.PIPE, check=True
        )
        how, expected = "our networks", json.loads(counted.stdout)
    else:
        return "not checked"
    if found != expected:
        sys.exit(f"generator and discriminator have {found} parameters, not {expected}")
    return how


def _command():
    """This program again, with the same arguments."""
    return [sys.executable, "-m", "tests.by_hand.torch_step", *sys.argv[1:]]


def _without_gpu():
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}


def timed(step, steps=1):
    """Seconds per step."""
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - started) / steps


def summary(seconds, given):
    median = statistics.median(seconds)
    return {
        "least_seconds": min(seconds),
        "median_seconds": median,
        "images_per_second": given.batch_size / median,
    }


def measure(given):
    """PyTorch's step alone."""
    step = TorchStep(given)
    checked = check_parameters(step.parameters, given)
    first = timed(step.once)
    for _ in range(WARM_UP_STEPS - 1):
        step.once()
    if given.device == "cuda":
        step.torch.cuda.reset_peak_memory_stats()
    seconds = [timed(step.once, given.steps_per_round) for _ in range(given.rounds)]
    return {
        **summary(seconds, given),
        "seconds_of_first_step": first,
        "trainable_parameters": dict(
            zip(("generator", "discriminator"), step.parameters, strict=True)
        ),
        "parameters_checked_against": checked,
        "losses": step.once(),
        **step.facts(),
    }


class Worker:
    """A step in a process of its own, which waits for its turns."""

    def __init__(self, name):
        self.process = subprocess.Popen(
            [*_command(), f"--part={name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        self.parameters = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("a process ended; see its message above")
        return json.loads(line)

    def turn(self, what):
        print(what, file=self.process.stdin, flush=True)
        return self.answer()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def serve(step, given):
    """Answers each line of the standard input: `time` with seconds, `facts` with facts."""
    answers = os.fdopen(os.dup(1), "w")  # a library may print to the standard output
    os.dup2(2, 1)

    def answer(value):
        print(json.dumps(value), file=answers, flush=True)

    for _ in range(WARM_UP_STEPS):
        losses = step.once()
    answer(step.parameters)
    for line in sys.stdin:
        if line.strip() == "time":
            answer(timed(step.once, given.steps_per_round))
        else:
            answer({"losses": losses, **step.facts()})


def compare(given):
    """Both steps in turn."""
    if discriminator_filters(given) != given.base_filters:
        sys.exit("`make_sagan` gives both networks the same filters")
    workers = {name: Worker(name) for name in ("ours", "torch")}
    parameters = [worker.parameters for worker in workers.values()]
    if parameters[0] != parameters[1]:
        sys.exit(f"ours and PyTorch's networks have {parameters} parameters")
    seconds = {name: [] for name in workers}
    for index in range(given.rounds):
        # Each is first in half of the rounds.
        for name in list(workers)[:: -1 if index % 2 else 1]:
            time.sleep(0.3)  # until the other's threads no longer wait for work
            seconds[name].append(workers[name].turn("time"))
    found = {
        name: {**summary(seconds[name], given), **worker.turn("facts")}
        for name, worker in workers.items()
    }
    for worker in workers.values():
        worker.end()
    ours, torchs = seconds.values()
    ratios = [theirs / our for our, theirs in zip(ours, torchs, strict=True)]
    return {
        "torch_seconds_over_ours": statistics.median(torchs) / statistics.median(ours),
        "quartiles_within_rounds": statistics.quantiles(ratios, n=4) if len(ratios) > 1 else None,
        **found,
        "trainable_parameters": dict(
            zip(("generator", "discriminator"), parameters[0], strict=True)
        ),
    }


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image_size", type=int, default=128, choices=(16, 32, 64, 128, 256))
    parser.add_argument("--base_filters", type=int, default=64)
    parser.add_argument("--discriminator_filters", type=int, help="default: as the generator")
    parser.add_argument("--num_classes", type=int, default=1000)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--tf32", action="store_true", help="float32 products in TF32")
    parser.add_argument("--channels_last", action="store_true", help="PyTorch's memory format")
    parser.add_argument(
        "--compile",
        nargs="?",
        const="default",
        metavar="MODE",
        help="torch.compile for both networks; its mode, if another than the default one",
    )
    parser.add_argument(
        "--cheap_shortcuts",
        action="store_true",
        help="in PyTorch, 1x1 convolutions on the smaller map, as in ours",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps_per_round", type=int, default=1, help="the device ends each one")
    parser.add_argument("--threads", type=int, help="and as many cores; default: all")
    parser.add_argument("--expect_parameters", metavar="G,D", help="trainable ones")
    parser.add_argument("--against_ours", action="store_true", help="in turn with our step")
    parser.add_argument("--xla", action="store_true", help="for our step")
    parser.add_argument("--part", choices=("count", "ours", "torch"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    given = arguments()
    if given.threads:  # Both libraries then start no more threads than that.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.threads])
    if given.part == "count":
        print(json.dumps(our_parameters(given)))
    elif given.part:
        serve({"ours": OurStep, "torch": TorchStep}[given.part](given), given)
    else:
        found = compare(given) if given.against_ours else measure(given)
        settings = {name: value for name, value in vars(given).items() if value is not None}
        print(json.dumps({**found, "settings": settings}))


if __name__ == "__main__":
    main()
