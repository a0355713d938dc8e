"""How the projects name layers, and what their recipes share.

What stands where in a file, and what each layer computes, was read in the projects' code:
PyTorch-StudioGAN, `src/models/resnet.py` and `src/utils/ops.py` (`model_ops.py` until July 2021);
mmgeneration, `sngan_proj` and `biggan` in `mmgen/models/architectures`, and `configs/sagan`.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any


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
