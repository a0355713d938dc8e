"""SAGANs that other projects published, as our networks.

What stands where in a file, and what each layer computes, was read in the projects' code:
PyTorch-StudioGAN, `src/models/resnet.py` and `src/utils/ops.py` (`model_ops.py` until July 2021);
mmgeneration, `sngan_proj` and `biggan` in `mmgen/models/architectures`, and `configs/sagan`.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from sagan_tf.architecture import DISCRIMINATOR_FILTERS, GENERATOR_FILTERS
from sagan_tf.layers import ConditionalBatchNormalization, SelfAttention2D
from sagan_tf.models import Discriminator, Generator


@dataclasses.dataclass(frozen=True)
class Source:
    """How a project names our layers, and what its recipes share.

    Attributes:
        names: a layer's name there, by its name here. What belongs to a stage stands below the
            stage's.
        stage: names a generator's stages, and a discriminator's.
        first_stage: names a discriminator's first one, if it is none of the others.
        statistics: where a conditional batch norm keeps its moving statistics.
        tables: pairs of names that class tables had in the project's versions, and whether
            a class is a column there.
        gate_shape: of an attention's scalar.
        image_sizes: at which its networks are ours.
        relu_shortcut: whether its ReLU works in place, see `Discriminator`.
        bgr: whether its images have blue first.
    """

    names: Mapping[str, str]
    stage: str
    first_stage: str | None
    statistics: str
    tables: tuple[tuple[str, str, bool], ...]
    gate_shape: tuple[int, ...]
    image_sizes: tuple[int, ...]
    relu_shortcut: bool
    bgr: bool

    def stages(self, entries: Mapping[str, Any], first: str | None) -> list[tuple[str, bool]]:
        """The stages' names in a state, and whether they attend."""
        found: list[tuple[str, bool]] = []
        for name in self._stage_names(first):
            if not any(key.startswith(f"{name}.") for key in entries):
                break
            query = f"{name}.{self.names['query']}."
            found.append((name, any(key.startswith(query) for key in entries)))
        return found

    def _stage_names(self, first: str | None) -> Iterator[str]:
        if first is not None:
            yield first
        index = 0
        while True:
            yield self.stage.format(index)
            index += 1


SOURCES = {
    "studiogan": Source(
        names={
            "dense": "linear0",
            "output_norm": "bn4",
            "output_convolution": "conv2d5",
            "logit": "linear1",
            "embedding": "embedding",
            "norm_0": "bn1",
            "conv_0": "conv2d1",
            "norm_1": "bn2",
            "conv_1": "conv2d2",
            "shortcut": "conv2d0",
            "query": "conv1x1_theta",
            "key": "conv1x1_phi",
            "value": "conv1x1_g",
            "output": "conv1x1_attn",
            "gamma": "sigma",
        },
        stage="blocks.{}.0",
        first_stage=None,
        statistics="bn",
        tables=(("embed0", "embed1", False), ("gain", "bias", True)),  # until, since July 2021
        gate_shape=(1,),
        image_sizes=(32, 64, 128, 256),
        relu_shortcut=True,
        bgr=False,
    ),
    "mmgeneration": Source(
        names={
            "dense": "noise2feat",
            "output_norm": "to_rgb.bn",
            "output_convolution": "to_rgb.conv",
            "logit": "decision",
            "embedding": "proj_y",
            "norm_0": "norm_1",
            "conv_0": "conv_1.conv",
            "norm_1": "norm_2",
            "conv_1": "conv_2.conv",
            "shortcut": "shortcut.conv",
            "query": "theta.conv",
            "key": "phi.conv",
            "value": "g.conv",
            "output": "o.conv",
            "gamma": "gamma",
        },
        stage="conv_blocks.{}",
        first_stage="from_rgb",
        statistics="norm",
        tables=(("weight_embedding", "bias_embedding", False),),
        gate_shape=(),
        image_sizes=(32, 128),  # At 64 its discriminator pools down to 2x2.
        relu_shortcut=False,
        bgr=True,
    ),
}


@dataclasses.dataclass(frozen=True)
class Published:
    """Networks with their published weights.

    Attributes:
        generator: as it was trained.
        discriminator: likewise.
        ema_generator: the generator's moving average, or `None`.
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
    """Makes networks of ours that compute what published ones do, from their weights.

    What cannot be seen in weights are arguments; by default they are the source's recipes'.

    Scales are 1 + a table there. If that table is spectrally normalised, its quotient becomes
    ours, whose tables are not: the same function, and training goes on with plain tables.

    Args:
        source_name: "studiogan" or "mmgeneration".
        states: arrays by PyTorch's names, of "generator", "discriminator" and perhaps
            "generator_ema".
        relu_shortcut: see `Discriminator`.
        bgr: whether images have blue first there; here they have red first.
        batch_norm_epsilon: see `Generator`; by default 1e-4, or 1e-5 if the class tables are
            not spectrally normalised, which one recipe of mmgeneration combines.

    Returns:
        Built networks.

    Raises:
        ValueError: if the states are not those of class-conditional SAGANs of the source, with
            every entry that is missing, left over or of another shape; or if our networks cannot
            represent them.
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
        _fill_generator(network, _Entries(state, states[state], source), channel_order)
        return network

    discriminator = Discriminator(
        relu_shortcut=source.relu_shortcut if relu_shortcut is None else relu_shortcut, **shared
    )
    entries = _Entries("discriminator", states["discriminator"], source)
    _fill_discriminator(discriminator, entries, channel_order)
    averaged = "generator_ema" in states
    return Published(
        generator("generator"), discriminator, generator("generator_ema") if averaged else None
    )


def _architecture(
    source_name: str, generator: Mapping[str, Any], discriminator: Mapping[str, Any]
) -> tuple[dict[str, Any], int]:
    """Arguments of both our networks, and the generator's `latent_dim`."""
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
            f"ours have other layers. Received: one of {image_size} pixels"
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
    """Sizes of the maps that attend, 0 for one that is not the first of its size.

    Args:
        stages: blocks and what attends after them.
        sizes: of the maps that the blocks give.
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


class _Entries:
    """A state's entries, each of which is taken once, and what was wrong with them.

    Args:
        network: whose they are.
        entries: arrays by name.
        source: whose they are.
    """

    def __init__(self, network: str, entries: Mapping[str, Any], source: Source) -> None:
        self.names = source.names
        self.stages = source.stages(
            entries, source.first_stage if network == "discriminator" else None
        )
        self._network = network
        self._source = source
        self._left = dict(entries)
        self._misfits: list[str] = []

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An entry as float64; ones if it does not fit, which `finish` will tell."""
        value = self._left.pop(name, None)
        if isinstance(value, np.ndarray) and value.shape == tuple(shape):
            return value.astype("float64")
        found = "missing" if value is None else f"of shape {getattr(value, 'shape', None)}"
        self._misfits.append(f"{name} {tuple(shape)} is {found}")
        return np.ones(shape)

    def finish(self) -> None:
        """Raises if an entry did not fit or is left over."""
        misfits = self._misfits + [f"{name} has no place" for name in self._left]
        if misfits:
            raise ValueError(
                f"{len(misfits)} entries of the {self._network} do not fit a SAGAN of this source: "
                + "; ".join(misfits[:20])
                + (" ..." if len(misfits) > 20 else "")
            )

    def fill_spectral(
        self,
        name: str,
        layer: keras.layers.Layer,
        outputs: Any = slice(None),
        inputs: Any = slice(None),
    ) -> None:
        """Fills a dense layer, convolution or embedding with its weight, vectors and bias.

        Args:
            name: theirs.
            layer: ours.
            outputs: which of their outputs ours are, in order.
            inputs: likewise.
        """
        if hasattr(layer, "embeddings"):  # a table's rows are its outputs, here and there
            weight, order = layer.embeddings, (0, 1)
            shape = tuple(weight.shape)
        else:  # Theirs begin with outputs and inputs, ours end with inputs and outputs.
            weight = layer.kernel
            *window, channels_in, channels_out = weight.shape
            order = (*range(2, 2 + len(window)), 1, 0)
            shape = (channels_out, channels_in, *window)
        value, left, right = self._weight_and_vectors(name, shape)
        weight.assign(_float32(value[outputs][:, inputs].transpose(order)))
        # As the kernel of one output, the vector is transposed likewise.
        right = right.reshape(1, *shape[1:])[:, inputs]
        layer.vector_u.assign(_float32(left[np.newaxis, outputs]))
        layer.vector_v.assign(_float32(right.transpose(order).reshape(-1, 1)))
        if getattr(layer, "use_bias", False):
            layer.bias.assign(_float32(self.take(f"{name}.bias", (shape[0],))[outputs]))

    def fill_norm(self, name: str, layer: ConditionalBatchNormalization) -> None:
        """Fills a batch norm with its statistics, and tables or scale and offset."""
        channels = layer.moving_mean.shape
        statistics = name
        if layer.num_classes is None:
            gamma = self.take(f"{name}.weight", channels)[np.newaxis]
            beta = self.take(f"{name}.bias", channels)[np.newaxis]
        else:
            statistics = f"{name}.{self._source.statistics}"
            tables = [
                table
                for table in self._source.tables
                if any(key.startswith(f"{name}.{table[0]}.") for key in self._left)
            ]
            scale, offset, transposed = (*tables, self._source.tables[-1])[0]
            gamma = 1 + self._table(f"{name}.{scale}", layer, transposed)
            beta = self._table(f"{name}.{offset}", layer, transposed)
        layer.gamma.assign(_float32(gamma))
        layer.beta.assign(_float32(beta))
        layer.moving_mean.assign(_float32(self.take(f"{statistics}.running_mean", channels)))
        layer.moving_variance.assign(_float32(self.take(f"{statistics}.running_var", channels)))
        self.take(f"{statistics}.num_batches_tracked", ())

    def fill_attention(self, name: str, layer: SelfAttention2D) -> None:
        """Fills a self-attention."""
        for part, convolution in {
            "query": layer.query,
            "key": layer.key,
            "value": layer.value,
            "output": layer.output_convolution,
        }.items():
            self.fill_spectral(f"{name}.{self.names[part]}", convolution)
        gate = self.take(f"{name}.{self.names['gamma']}", self._source.gate_shape)
        layer.gamma.assign(_float32(gate.reshape(())))

    def _table(
        self, name: str, layer: ConditionalBatchNormalization, transposed: bool
    ) -> np.ndarray:
        """A class table `(num_classes, C)`, divided by its spectral norm if there is one."""
        shape = tuple(layer.gamma.shape)
        shape = shape[::-1] if transposed else shape
        if f"{name}.weight" in self._left and f"{name}.u0" not in self._left:
            table = self.take(f"{name}.weight", shape)
        else:
            table, _, right = self._weight_and_vectors(name, shape)
            table = table / np.linalg.norm(table @ right)
        return table.T if transposed else table

    def _weight_and_vectors(
        self, name: str, shape: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A weight `(rows, ...)`, and vectors `(rows,)`, `(columns,)` with norm |W right|."""
        rows, columns = shape[0], math.prod(shape[1:])
        if f"{name}.u0" in self._left:
            # BigGAN-PyTorch's form, as mmgeneration has it: one iteration at every call.
            weight = self.take(f"{name}.weight", shape)
            left = self.take(f"{name}.u0", (1, rows))[0]
            self.take(f"{name}.sv0", (1,))
            matrix = weight.reshape(rows, columns)
            right = left @ matrix / np.linalg.norm(left @ matrix)
            return weight, left, right
        weight = self.take(f"{name}.weight_orig", shape)
        left = self.take(f"{name}.weight_u", (rows,))
        right = self.take(f"{name}.weight_v", (columns,))
        projection = weight.reshape(rows, columns) @ right
        norm = left @ projection
        if not norm > 0 and not self._misfits:  # else it may be of stand-ins
            self._misfits.append(f"{name} was never trained: its spectral norm is {norm:.2g}")
        # PyTorch's norm is u W v with a u from before the last update of W, ours |W v|. A longer
        # or shorter v makes up for it, which the next training call computes anew.
        return weight, left, right * (norm / np.linalg.norm(projection))


def _fill_generator(network: Generator, entries: _Entries, channel_order: slice) -> None:
    network.build()
    names = entries.names
    # Their 4x4 map is (C, 4, 4) in the dense layer's outputs, ours (4, 4, C).
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


def _fill_discriminator(network: Discriminator, entries: _Entries, channel_order: slice) -> None:
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


def _float32(values: np.ndarray) -> np.ndarray:
    return values.astype("float32")
