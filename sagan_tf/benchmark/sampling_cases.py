"""The benchmarks of sampling and serving."""

import atexit
import concurrent.futures
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tensorflow as tf

from sagan_tf import sampling
from sagan_tf.benchmark.networks import make_generator, make_networks
from sagan_tf.benchmark.timing import Case, Prepared
from sagan_tf.serving.client import Client
from sagan_tf.serving.exporting.folding import FoldedGenerator
from sagan_tf.serving.exporting.saved_model import write_version

# Number of calls in one round of the server.
CALLS = 64


def sampling_cases(sizes: dict[str, int]) -> list[Case]:
    """Cases for sampling with several batch sizes."""
    sizes = {name: size for name, size in sizes.items() if name != "batch_size"}
    return [
        Case(f"batch {size}", prepare_sampling, "images", {**sizes, "batch_size": size})
        for size in (1, 16, 64)
    ]


def folding_cases(sizes: dict[str, int]) -> list[Case]:
    """Cases for the generator as trained, and as exported."""
    cases = []
    for batch_size in (1, 16):
        arguments = {**sizes, "batch_size": batch_size}
        trained, folded = (f"{name}, batch {batch_size}" for name in ("generator", "folded"))
        cases += [
            Case(
                name,
                prepare_generator,
                "images",
                {**arguments, "folded": name == folded},
                against=trained,
            )
            for name in (trained, folded)
        ]
    return cases


def serving_cases(sizes: dict[str, int]) -> list[Case]:
    """Cases for the REST server with one caller and with several callers."""
    sizes = {name: size for name, size in sizes.items() if name != "batch_size"}
    return [
        Case(name, prepare_serving, "images", {**sizes, "callers": callers}, gives_latencies=True)
        for name, callers in (("1 caller", 1), ("8 callers", 8))
    ]


def prepare_sampling(batch_size: int, num_classes: int, **settings: Any) -> Prepared:
    """Generates images from seeds, like `sagan_tf.sample`."""
    generator, _ = make_networks(num_classes=num_classes, **settings)
    labels = [index % num_classes for index in range(batch_size)]
    return lambda: list(sampling.sample(generator, range(batch_size), labels)), batch_size


def prepare_generator(batch_size: int, folded: bool, **settings: Any) -> Prepared:
    """Generates images from latents, with the generator as trained or as exported."""
    generator = make_generator(**settings)
    latents = tf.random.normal((batch_size, generator.latent_dim))
    labels = tf.range(batch_size) % generator.num_classes
    if folded:
        folded_generator = FoldedGenerator(generator)

        @tf.function
        def images() -> tf.Tensor:
            rows = tf.gather(folded_generator.table, labels)
            return folded_generator.images(latents, rows)
    else:

        @tf.function
        def images() -> tf.Tensor:
            return generator(latents, labels)

    calls = max(1, 16 // batch_size)

    def generate() -> None:
        for _ in range(calls):
            images().numpy()

    return generate, calls * batch_size


def prepare_serving(callers: int, num_classes: int, **settings: Any) -> Prepared:
    """Calls `Client.sample` for one image at a time; the REST server has its own process."""
    generator = make_generator(num_classes=num_classes, **settings)
    base_path = Path(tempfile.mkdtemp())
    names = [str(label) for label in range(num_classes)]
    write_version(base_path, 1, generator, names, {}, "")
    command = [sys.executable, "-m", "sagan_tf.serve", f"--model_base_path={base_path}"]
    server = subprocess.Popen(
        [*command, "--rest_api_port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(server.kill)
    assert server.stdout is not None  # a pipe
    line = next(line for line in server.stdout if line.startswith("serving: "))
    url = line.removeprefix("serving: ").split("/v1/")[0]
    clients = [Client(url) for _ in range(callers)]

    def call(index: int) -> list[float]:
        seconds = []
        for seed in range(index, CALLS, callers):
            start = time.perf_counter()
            clients[index].sample(seed % num_classes, seed)
            seconds.append(time.perf_counter() - start)
        return seconds

    def calls() -> list[float]:
        with concurrent.futures.ThreadPoolExecutor(callers) as threads:
            return [seconds for own in threads.map(call, range(callers)) for seconds in own]

    return calls, CALLS
