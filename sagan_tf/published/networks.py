"""Makes networks of this package from SAGANs that other projects published."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from sagan_tf.architecture import DISCRIMINATOR_FILTERS, GENERATOR_FILTERS
from sagan_tf.models import Discriminator, Generator
from sagan_tf.published.entries import Entries
from sagan_tf.published.projects import SOURCES


@dataclasses.dataclass(frozen=True)
class Published:
    """Networks with published weights.

    Attributes:
        generator: the generator as trained, without averaging.
        discriminator: the discriminator.
        ema_generator: the generator with the moving average of weights, or `None`.
    """

    generator: Generator
    discriminator: Discriminator
    ema_generator: Generator | None


def convert(
    source_name: str,
    states: Mapping[str, Mapping[str, Any]],
    relu_shortcut: bool | None = None,
    bgr: bool | None = None,
    batch_norm_epsilon: float | None = None,
) -> Published:
    """Makes networks of this package that compute the same functions as published networks.

    The arguments after `states` cannot be read from weights; their defaults are those of the
    source's recipes.

    The published networks scale by 1 + a class table. If that table is spectrally normalised, the
    normalised table is used here, as tables of this package are not: the function is the same, and
    further training uses plain tables.

    Args:
        source_name: "studiogan" or "mmgeneration".
        states: arrays by their PyTorch names, for "generator", "discriminator" and optionally
            "generator_ema".
        relu_shortcut: see `Discriminator`; `None` for the source's default.
        bgr: whether the published networks' images are BGR; `None` for the source's default.
        batch_norm_epsilon: see `Generator`; by default 1e-4, or 1e-5 if the class tables are
            not spectrally normalised, as in one recipe of mmgeneration.

    Returns:
        Built networks.

    Raises:
        ValueError: if the states are not those of class-conditional SAGANs of the source; the
            message has the entries that are missing, left over or of another shape. Also if
            networks of this package cannot represent them.
    """
    source = SOURCES[source_name]
    shared, latent_dim = _architecture(source_name, states["generator"], states["discriminator"])
    if batch_norm_epsilon is None:
        vectors = tuple(
            f".{scale}.{vector}" for scale, _, _ in source.tables for vector in ("weight_u", "u0")
        )
        normalized = any(key.endswith(vectors) for key in states["generator"])
        batch_norm_epsilon = 1e-4 if normalized else 1e-5
    channel_order = slice(None, None, -1 if (source.bgr if bgr is None else bgr) else 1)

    def generator(state: str) -> Generator:
        name = "generator" if state == "generator" else "ema_generator"
        network = Generator(
            latent_dim=latent_dim, batch_norm_epsilon=batch_norm_epsilon, name=name, **shared
        )
        _fill_generator(network, Entries(state, states[state], source), channel_order)
        return network

    discriminator = Discriminator(
        relu_shortcut=source.relu_shortcut if relu_shortcut is None else relu_shortcut, **shared
    )
    entries = Entries("discriminator", states["discriminator"], source)
    _fill_discriminator(discriminator, entries, channel_order)
    averaged = "generator_ema" in states
    return Published(
        generator("generator"), discriminator, generator("generator_ema") if averaged else None
    )


def _architecture(
    source_name: str, generator: Mapping[str, Any], discriminator: Mapping[str, Any]
) -> tuple[dict[str, Any], int]:
    """Constructor arguments of both networks, and the generator's `latent_dim`."""
    source = SOURCES[source_name]

    def shape_of(entries: Mapping[str, Any], layer: str, axes: int) -> tuple[int, ...]:
        name = source.names[layer]
        for key in (f"{name}.weight_orig", f"{name}.weight"):
            if key in entries and entries[key].ndim == axes:
                return entries[key].shape
        raise ValueError(
            f"Expected a class-conditional SAGAN of {source_name}, with {name}.weight_orig. "
            f"Received: {len(entries)} entries, {', '.join(list(entries)[:3])} ..."
        )

    _, latent_dim = shape_of(generator, "dense", 2)
    channels, last_filters, _, _ = shape_of(generator, "output_convolution", 4)
    num_classes, _ = shape_of(discriminator, "embedding", 2)
    stages = source.stages(generator, None)
    image_size = 4 * 2 ** sum(not attends for _, attends in stages)
    if image_size not in source.image_sizes:
        raise ValueError(
            f"{source_name}'s networks can be converted at {source.image_sizes} pixels; at others "
            f"this package's have other layers. Received: one of {image_size} pixels"
        )
    attended = _attended(stages, [size for size, _ in GENERATOR_FILTERS[image_size] if size > 4])
    sizes = [size for size, _ in DISCRIMINATOR_FILTERS[image_size]]
    stages = source.stages(discriminator, source.first_stage)
    blocks = sum(not attends for _, attends in stages)
    if blocks != len(sizes):
        raise ValueError(
            f"The discriminator must have {len(sizes)} blocks, as at the generator's {image_size} "
            f"pixels. Received: {blocks}"
        )
    seen = _attended(stages, sizes)
    if set(seen) != set(attended) or 0 in seen:
        raise ValueError(
            "Generator and discriminator must attend at the same sizes of maps, each after the "
            f"first block of that size. Received: {attended} and {seen} (0: after a later block)"
        )
    arguments = {
        "image_size": image_size,
        "num_classes": num_classes,
        "base_filters": last_filters // GENERATOR_FILTERS[image_size][-1][1],
        "channels": channels,
        "attention_resolutions": tuple(sorted(attended)),
    }
    return arguments, latent_dim


def _attended(stages: list[tuple[str, bool]], sizes: list[int]) -> list[int]:
    """Sizes of the feature maps with attention; 0 for a map that is not the first of its size.

    Args:
        stages: names of the stages, and whether each is attention instead of a block.
        sizes: sizes of the blocks' output maps.
    """
    found = []
    blocks = 0
    for _, attends in stages:
        if not attends:
            blocks += 1
            continue
        size = sizes[blocks - 1]
        found.append(size if sizes.index(size) == blocks - 1 else 0)
    return found


def _fill_generator(network: Generator, entries: Entries, channel_order: slice) -> None:
    network.build()
    names = entries.names
    # The dense layer's outputs are a (C, 4, 4) map in the published network, and (4, 4, C) here.
    positions = np.arange(16 * network.first_filters).reshape(-1, 4, 4).transpose(1, 2, 0).ravel()
    entries.fill_spectral(names["dense"], network.dense, outputs=positions)
    for (name, attends), stage in zip(entries.stages, network.stages, strict=True):
        if attends:
            entries.fill_attention(name, stage)
            continue
        for part in ("conv_0", "conv_1", "shortcut"):
            entries.fill_spectral(f"{name}.{names[part]}", getattr(stage, part))
        for part in ("norm_0", "norm_1"):
            entries.fill_norm(f"{name}.{names[part]}", getattr(stage, part))
    entries.fill_norm(names["output_norm"], network.output_norm)
    entries.fill_spectral(
        names["output_convolution"], network.output_convolution, outputs=channel_order
    )
    entries.finish()


def _fill_discriminator(network: Discriminator, entries: Entries, channel_order: slice) -> None:
    network.build()
    names = entries.names
    for (name, attends), stage in zip(entries.stages, network.stages, strict=True):
        if attends:
            entries.fill_attention(name, stage)
            continue
        inputs = channel_order if stage.first else slice(None)
        entries.fill_spectral(f"{name}.{names['conv_0']}", stage.conv_0, inputs=inputs)
        entries.fill_spectral(f"{name}.{names['conv_1']}", stage.conv_1)
        if stage.shortcut is not None:
            entries.fill_spectral(f"{name}.{names['shortcut']}", stage.shortcut, inputs=inputs)
    entries.fill_spectral(names["logit"], network.logit)
    entries.fill_spectral(names["embedding"], network.embedding)
    entries.finish()
