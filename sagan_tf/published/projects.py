"""The projects' names of layers, and what their recipes have in common.

The names of entries and the functions of layers are from the projects' code:
PyTorch-StudioGAN, `src/models/resnet.py` and `src/utils/ops.py` (`model_ops.py` until July 2021);
mmgeneration, `sngan_proj` and `biggan` in `mmgen/models/architectures`, and `configs/sagan`.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Source:
    """A project's names for our layers, and what its recipes have in common.

    Attributes:
        names: a layer's name in the project, by its name here. Names of layers in a stage are
            relative to the stage's name.
        stage: format of the names of stages in the generator and the discriminator.
        first_stage: name of the discriminator's first stage, if it differs from that format.
        statistics: sub-layer with the moving statistics of a class-conditional batch norm.
        tables: for each version of the project, the names of the scale and the offset table, and
            whether classes are columns of these tables.
        gate_shape: shape of an attention layer's scalar.
        image_sizes: image sizes at which the project's networks equal ours.
        relu_shortcut: whether the project's ReLUs work in place, see `Discriminator`.
        bgr: whether the project's images are BGR.
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
        """The names of the stages in a state, and whether each stage is attention."""
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
        tables=(("embed0", "embed1", False), ("gain", "bias", True)),  # until and since July 2021
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
        image_sizes=(32, 128),  # at 64, the project's discriminator pools down to 2x2
        relu_shortcut=False,
        bgr=True,
    ),
}
