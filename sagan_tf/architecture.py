"""The sizes of both networks, and a check of the settings that they depend on.

This module imports neither Keras nor TensorFlow, so that a command can reject a wrong size at
once.
"""

import math
from collections.abc import Mapping, Sequence

# Layers that may follow a block at an attention resolution, see `Generator`.
MIXINGS = ("attention", "local_attention", "residual")

# Filters of each feature map, as multiples of `base_filters`, by image size. The generator's
# table gives (resolution, multiple) of the first map and of each block's output. The
# discriminator's table gives them for each block's output; a block with the resolution of the
# block before it does not downsample.
#   16: this project's, for small data.
#   32: the CIFAR-10 networks of SNGAN (arXiv 1802.05957, table 4): 256 and 128 at 64 base filters.
#   64, 256: BigGAN's discriminators (arXiv 1809.11096, tables 6 and 8), with its generator at 256;
#       at 64 the generator halves from 16 to 1 as PyTorch-StudioGAN's `resnet.py` does.
#   128: SAGAN's released code (`generator.py`, `discriminator.py`).
GENERATOR_FILTERS = {
    16: ((4, 4), (8, 2), (16, 1)),
    32: ((4, 4), (8, 4), (16, 4), (32, 4)),
    64: ((4, 16), (8, 8), (16, 4), (32, 2), (64, 1)),
    128: ((4, 16), (8, 16), (16, 8), (32, 4), (64, 2), (128, 1)),
    256: ((4, 16), (8, 16), (16, 8), (32, 8), (64, 4), (128, 2), (256, 1)),
}
DISCRIMINATOR_FILTERS = {
    16: ((8, 1), (4, 2), (4, 4)),
    32: ((16, 2), (8, 2), (8, 2), (8, 2)),
    64: ((32, 1), (16, 2), (8, 4), (4, 8), (4, 16)),
    128: ((64, 1), (32, 2), (16, 4), (8, 8), (4, 16), (4, 16)),
    256: ((128, 1), (64, 2), (32, 4), (16, 8), (8, 8), (4, 16), (4, 16)),
}


def check_sizes(
    filters: Mapping[int, Sequence[tuple[int, int]]],
    image_size: int,
    base_filters: int,
    attention_resolutions: Sequence[int],
    query_key_ratio: int,
    value_ratio: int,
    mixing: str = "attention",
    base_filters_name: str = "base_filters",
) -> None:
    """Raises `ValueError`, with values that work, if a network of these sizes cannot be built.

    Args:
        filters: `GENERATOR_FILTERS` or `DISCRIMINATOR_FILTERS`.
        image_size: pixels.
        base_filters: width of that network.
        attention_resolutions: sizes of the feature maps with attention.
        query_key_ratio: see `SelfAttention2D`.
        value_ratio: see `SelfAttention2D`.
        mixing: one of `MIXINGS`.
        base_filters_name: name of the argument or flag that gave the width, for the message.
    """
    if image_size not in filters:
        raise ValueError(
            f"`image_size` must be one of {', '.join(map(str, sorted(filters)))} pixels; images of "
            f"other sizes are cut and resized to it. Received: image_size={image_size}"
        )
    if base_filters < 1:
        raise ValueError(
            f"`{base_filters_name}` must be a positive integer. Received: "
            f"{base_filters_name}={base_filters}"
        )
    if mixing not in MIXINGS:
        raise ValueError(f"`mixing` must be one of {MIXINGS}. Received: mixing={mixing!r}")
    for name, ratio in (("query_key_ratio", query_key_ratio), ("value_ratio", value_ratio)):
        if ratio < 1:
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={ratio}")
    available = [size for size, _ in GENERATOR_FILTERS[image_size] if 4 < size < image_size]
    if not set(attention_resolutions) <= set(available):
        raise ValueError(
            f"`attention_resolutions` must be among {available} at image size {image_size}, or "
            f"empty for none. Received: attention_resolutions={tuple(attention_resolutions)}"
        )
    multiples = dict(reversed(filters[image_size]))  # attention follows the first block of a size
    for resolution in set(attention_resolutions) & set(multiples):
        channels = multiples[resolution] * base_filters
        for name, ratio in (("query_key_ratio", query_key_ratio), ("value_ratio", value_ratio)):
            if channels % ratio:
                step = ratio // math.gcd(ratio, multiples[resolution])
                raise ValueError(
                    f"`{base_filters_name}` must be a multiple of {step}, so that `{name}`={ratio} "
                    f"divides the {multiples[resolution]} times as many channels that attend at "
                    f"{resolution}x{resolution}; or choose a smaller `{name}`. Received: "
                    f"{base_filters_name}={base_filters}"
                )
