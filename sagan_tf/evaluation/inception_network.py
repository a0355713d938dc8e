"""The Inception network that defines Inception Score and FID, as a Keras model.

This is Google's ImageNet classifier of 2015-12-05 with 1008 outputs, the network in the frozen
graph `classify_image_graph_def.pb`; the blocks are those of Szegedy et al., "Rethinking the
Inception Architecture for Computer Vision" (arXiv 1512.00567). Here batch norm is folded into the
convolutions, each of which has a bias and a ReLU.

`keras.applications.InceptionV3` is a different network: it has 1000 classes, batch norm without
scale, average instead of maximum pooling in its last block, and weights from another training run.
"""

from collections.abc import Iterator
from typing import Any

import keras

IMAGE_SIZE = 299
NUM_LOGITS = 1008

# A step `FILTERS@HxW` is a convolution whose output has its input's size; `/2` has stride 2 and no
# padding, `valid` no padding. `a|b` stands for two convolutions of one input, side by side. Pools
# are 3x3, of stride 1 and padded unless they end in `/2`.
_STEM = {
    "Conv2d_1a_3x3": "32@3x3/2",
    "Conv2d_2a_3x3": "32@3x3valid",
    "Conv2d_2b_3x3": "64@3x3",
    "pool_1": "max/2",
    "Conv2d_3b_1x1": "80@1x1",
    "Conv2d_4a_3x3": "192@3x3valid",
    "pool_2": "max/2",
}


def _block_35(pool_filters: int) -> dict[str, str]:
    return {
        "branch1x1": "64@1x1",
        "branch5x5": "48@1x1 64@5x5",
        "branch3x3dbl": "64@1x1 96@3x3 96@3x3",
        "branch_pool": f"average {pool_filters}@1x1",
    }


def _block_17(filters: int) -> dict[str, str]:
    return {
        "branch1x1": "192@1x1",
        "branch7x7": f"{filters}@1x1 {filters}@1x7 192@7x1",
        "branch7x7dbl": f"{filters}@1x1 {filters}@7x1 {filters}@1x7 {filters}@7x1 192@1x7",
        "branch_pool": "average 192@1x1",
    }


def _block_8(pool: str) -> dict[str, str]:
    return {
        "branch1x1": "320@1x1",
        "branch3x3": "384@1x1 384@1x3|384@3x1",
        "branch3x3dbl": "448@1x1 384@3x3 384@1x3|384@3x1",
        "branch_pool": f"{pool} 192@1x1",
    }


# Blocks by their PyTorch names. The frozen graph numbers them: `mixed`, `mixed_1` ... `mixed_10`.
_BLOCKS = {
    "Mixed_5b": _block_35(32),
    "Mixed_5c": _block_35(64),
    "Mixed_5d": _block_35(64),
    "Mixed_6a": {
        "branch3x3": "384@3x3/2",
        "branch3x3dbl": "64@1x1 96@3x3 96@3x3/2",
        "branch_pool": "max/2",
    },
    "Mixed_6b": _block_17(128),
    "Mixed_6c": _block_17(160),
    "Mixed_6d": _block_17(160),
    "Mixed_6e": _block_17(192),
    "Mixed_7a": {
        "branch3x3": "192@1x1 320@3x3/2",
        "branch7x7x3": "192@1x1 192@1x7 192@7x1 192@3x3/2",
        "branch_pool": "max/2",
    },
    "Mixed_7b": _block_8("average"),
    "Mixed_7c": _block_8("max"),
}


# Features of other implementations: means over the positions of an output, named by its number of
# channels.
_MEANS = {"64": "pool_1", "192": "pool_2", "768": "Mixed_6e", "2048": "Mixed_7c"}
TAPS = (*_MEANS, "logits_unbiased", "logits", "spatial")
# The spatial features of sFID (Nash et al., arXiv 2103.03841) as in ADM's evaluation.
_SPATIAL, _SPATIAL_CHANNELS = "Mixed_6d.branch1x1", 7


def build_network() -> keras.Model:
    """The network with all weights zero, in float32 whatever the global policy is.

    It takes images, float32 `(N, 299, 299, 3)` in [-1, 1], and returns float32 tensors by name:

    - `64`, `192`, `768`, `2048`: means over all positions, `(N, 64)` ...; `2048` is `pool_3`;
    - `logits`, `logits_unbiased`: `(N, 1008)`, with and without the bias;
    - `spatial`: 7 channels of 17x17 positions inside the block `Mixed_6d`, `(N, 2023)`.
    """
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3), dtype="float32")
    outputs, hidden = {}, images
    for name, step in _STEM.items():
        hidden = outputs[name] = _apply(step, name, hidden)
    for block, branches in _BLOCKS.items():
        ends = []
        for branch, text in branches.items():
            sides = [hidden]
            for steps in _named_steps(f"{block}.{branch}", text):
                sides = [_apply(step, name, sides[0]) for name, step in steps.items()]
                outputs.update(zip(steps, sides, strict=True))
            ends += sides
        hidden = outputs[block] = keras.layers.Concatenate(dtype="float32", name=block)(ends)
    taps = {
        tap: keras.layers.GlobalAveragePooling2D(dtype="float32", name=f"mean_{tap}")(outputs[name])
        for tap, name in _MEANS.items()
    }
    dense = keras.layers.Dense(
        NUM_LOGITS, use_bias=False, kernel_initializer="zeros", dtype="float32", name="fc"
    )
    taps["logits_unbiased"] = dense(taps["2048"])
    taps["logits"] = Bias(dtype="float32", name="fc_bias")(taps["logits_unbiased"])
    flatten = keras.layers.Flatten(dtype="float32", name="spatial")
    taps["spatial"] = flatten(outputs[_SPATIAL][..., :_SPATIAL_CHANNELS])
    return keras.Model(images, taps, name="inception_2015_12_05")


def graph_scopes() -> dict[str, str]:
    """The scope of each convolution in the frozen graph, by its layer's name."""
    stem = [name for name, step in _STEM.items() if "@" in step]
    scopes = {name: _numbered("conv", number) for number, name in enumerate(stem)}
    for number, (block, branches) in enumerate(_BLOCKS.items()):
        tower = 0
        for branch, text in branches.items():
            scope = _numbered("mixed", number)
            if " " in text:  # A convolution alone has no scope of its own.
                scope += f"/{_numbered('tower', tower)}"
                tower += 1
            convolutions = [
                list(steps)
                for steps in _named_steps(f"{block}.{branch}", text)
                if "@" in "".join(steps.values())
            ]
            for position, names in enumerate(convolutions):
                if len(names) == 1:
                    scopes[names[0]] = f"{scope}/{_numbered('conv', position)}"
                else:
                    scopes |= {
                        name: f"{scope}/mixed/{_numbered('conv', side)}"
                        for side, name in enumerate(names)
                    }
    return scopes


class Bias(keras.layers.Layer):
    """Adds a bias as a separate layer, so that logits without bias stay accessible."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.bias = self.add_weight(shape=input_shape[-1:], initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        return inputs + self.bias


def _named_steps(branch: str, text: str) -> Iterator[dict[str, str]]:
    """Yields the steps of a branch, each as text by layer name; parallel layers come together.

    Convolutions are numbered from 1 unless there is only one; parallel ones end in a and b.
    """
    number = 0
    for step in text.split():
        if "@" not in step:
            yield {f"{branch}.pool": step}
            continue
        number += 1
        name = f"{branch}_{number}" if text.count("@") > 1 else branch
        first, *second = step.split("|")
        yield {f"{name}a": first, f"{name}b": second[0]} if second else {name: first}


def _apply(step: str, name: str, inputs: Any) -> Any:
    shared = {"dtype": "float32", "name": name}
    strides = 2 if step.endswith("/2") else 1
    padding = "valid" if step.endswith(("/2", "valid")) else "same"
    kind, _, size = step.removesuffix("/2").removesuffix("valid").partition("@")
    if kind == "max":
        return keras.layers.MaxPooling2D(3, strides, padding, **shared)(inputs)
    if kind == "average":  # the average excludes the padding
        return keras.layers.AveragePooling2D(3, strides, padding, **shared)(inputs)
    kernel_size = tuple(int(side) for side in size.split("x"))
    return keras.layers.Conv2D(
        int(kind),
        kernel_size,
        strides,
        padding,
        activation="relu",
        kernel_initializer="zeros",
        **shared,
    )(inputs)


def _numbered(word: str, number: int) -> str:
    return f"{word}_{number}" if number else word
