"""Prints what a run would need, without training it: settings, sizes, memory and time."""

import dataclasses
import json
import time

import tensorflow as tf

from sagan_tf.config import TrainSettings
from sagan_tf.data.inspection import summary
from sagan_tf.data.source import Description, Source
from sagan_tf.machine import memory
from sagan_tf.machine.cluster import find_cluster
from sagan_tf.machine.devices import replicas_here
from sagan_tf.training import cost
from sagan_tf.training.build import make_networks, make_sagan, make_strategy
from sagan_tf.training.loop import make_run_steps

# Rates of full-duplex links between machines, in Gbit/s.
LINK_RATES = (1, 10, 100)
# `query_chunk_size` to suggest where attention takes much of the memory.
CHUNK_SIZE = 256
# Shortest time for which training is timed once it is compiled, in seconds.
TIMED_SECONDS = 5


def report(settings: TrainSettings, sources: dict[str, str], source: Description) -> None:
    """Prints every setting and its origin, what a step costs, and, with `time`, its duration.

    Args:
        settings: the run's settings.
        sources: origin of each setting by name, as `config.resolve` returns them.
        source: the data set.
    """
    strategy = None
    if settings.time:  # before anything computes
        strategy = make_strategy(settings)
    for name, value in dataclasses.asdict(settings).items():
        print(f"{name:28} {json.dumps(value):24} {sources[name]}")
    if isinstance(source, Source):
        for note in source.notes:
            print(note)
        print(summary(source))
    _print_costs(settings, source)
    if strategy is not None:
        _print_time(settings, source, strategy)


def _print_costs(settings: TrainSettings, source: Description) -> None:
    networks = make_networks(settings, source)
    plain = make_networks(settings, source, resampling="plain")
    print()
    for network, reference in zip(networks, plain, strict=True):
        print(
            f"{network.name:14} {cost.parameters(network):>12,} parameters  "
            f"{cost.multiply_accumulates(network) / 1e9:7.3f} GMAC per image "
            f"({cost.multiply_accumulates(reference) / 1e9:.3f} in the plain form)"
        )
    cluster = find_cluster()
    replicas_of_machine = replicas_here(settings.device, settings.num_replicas)
    replicas = replicas_of_machine * (len(cluster.addresses) if cluster else 1)
    batch = settings.global_batch_size // (replicas * settings.gradient_accumulation)
    kept = settings.averaged, int(settings.consistency_weight > 0)
    needed = cost.training_bytes(*networks, batch, *kept)
    available = memory.available_bytes(replicas_of_machine)
    here = "" if available is None else f"; this machine has {available / 2**30:.1f} GiB left"
    print(f"memory per replica: about {needed / 2**30:.1f} GiB at {batch} images (estimated){here}")
    attends = settings.attention_resolutions and settings.mixing == "attention"
    if attends and not settings.r1_weight and settings.query_chunk_size is None:
        chunked = make_networks(settings, source, query_chunk_size=CHUNK_SIZE)
        less = cost.training_bytes(*chunked, batch, *kept)
        if less < 0.8 * needed:
            print(f"with --query_chunk_size={CHUNK_SIZE}: about {less / 2**30:.1f} GiB")
    workers = len(cluster.addresses) if cluster else 2
    exchanged = cost.exchanged_bytes(*networks, settings.d_steps, workers)
    times = ", ".join(f"{8e3 * exchanged / (rate * 1e9):.1f} ms at {rate}" for rate in LINK_RATES)
    who = f"each of {workers} workers" if cluster else "each of two workers, if there were two,"
    print(f"{who} sends and receives {exchanged / 1e6:.1f} MB per step, {times} Gbit/s")


def _print_time(
    settings: TrainSettings, source: Description, strategy: tf.distribute.Strategy
) -> None:
    """Times some steps with black images on this machine and prints how long the run would take."""
    images = settings.d_steps * settings.global_batch_size // strategy.num_replicas_in_sync
    shape = (images, settings.image_size, settings.image_size, source.channels)
    example = tf.zeros(shape, tf.uint8), tf.zeros(images, tf.int32)
    batches = iter(
        strategy.distribute_datasets_from_function(
            lambda _: tf.data.Dataset.from_tensors(example).repeat()
        )
    )
    with strategy.scope():
        run_steps = make_run_steps(make_sagan(settings, source), strategy)
    started = time.perf_counter()
    run_steps(batches, tf.constant(1))
    compiled = time.perf_counter()
    steps = 0
    while time.perf_counter() - compiled < TIMED_SECONDS:
        run_steps(batches, tf.constant(settings.steps_per_call))
        steps += settings.steps_per_call
    seconds = (time.perf_counter() - compiled) / steps
    print(
        f"time: {compiled - started:.0f} s to compile, then {seconds:.3g} s per step, so "
        f"{_duration(seconds * settings.steps)} for {settings.steps:,} steps; reading the data, "
        "sample grids and checkpoints come on top (timed on this machine, as busy as it is now)"
    )


def _duration(seconds: float) -> str:
    for limit, unit, name in ((7200, 60, "minutes"), (172_800, 3600, "hours")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 86_400:.1f} days"
