"""Named presets: the defaults that each one changes, every value with its source."""

from typing import Any

RELEASED = "SAGAN's released code, brain-research/self-attention-gan"
PAPER = "SAGAN's paper, arXiv 1805.08318"
BIGGAN_PYTORCH = "BigGAN-PyTorch, scripts/launch_SAGAN_bs128x2_ema.sh"
MMGENERATION = "mmgeneration, configs/sagan"
OURS = "this project, tried on this data"
OURS_AT_32 = "this project, tried on robohash"
OURS_FEW = "this project, tried on 2,000 and 10,000 pictures at 32 pixels"
OURS_AT_64 = "this project, tried on 2,000 drawn pictures at 64 pixels"
OURS_GEOTEX = "this project, the study of two classes at 16 pixels"
OURS_NOT_RUN = "this project, not run to its end"
ABLATION = "python -m sagan_tf.study --ablation"
ADA = "StyleGAN2-ADA, arXiv 2006.06676"

# Folders with fewer pictures than this take the preset `small`. With 10,000 pictures the samples of
# `modern` became more and more alike, and those of `small` did not (docs/variety.md); its settings
# held for the 60,000 of `fashion_mnist`. `modern` was published for a million.
FEW_PICTURES = 100_000

# Many small colour pictures on 2 CPU cores. At this size the generator has four times
# `base_filters` in every feature map, and the discriminator two times
# `discriminator_base_filters`. So the latter is twice as large, to make both networks equally wide.
_AT_32_PIXELS: dict[str, tuple[Any, str]] = {
    "dense_bias": (False, ABLATION),
    **{
        name: (value, OURS_AT_32)
        for name, value in {
            "image_size": 32,
            "base_filters": 12,
            "discriminator_base_filters": 24,
            "latent_dim": 64,
            "attention_resolutions": (16,),
            "steps": 6000,
            "global_batch_size": 32,
            "generator_learning_rate": 5e-4,
            "discriminator_learning_rate": 1e-3,
            "beta_2": 0.9,
            "ema_decay": 0.998,
            "sample_every": 500,
            "checkpoint_every": 500,
        }.items()
    },
}

# Without R1, the discriminator recognises every generated image after two updates per step, and the
# generator then learns to be sharp, not to be varied.
_R1_OF_10 = {"r1_weight": 10.0, "r1_interval": 4}

# The settings that each preset changes, as (value, source).
PRESETS: dict[str, dict[str, tuple[Any, str]]] = {
    # python -m sagan_tf.train --dataset=imagenet2012
    # The released code on ImageNet 128x128. The paper reports two weeks on 4 GPUs and FID 18.28
    # with attention at 32x32 (table 1). Not run by us.
    "released": {},
    # python -m sagan_tf.train --dataset=imagenet2012 --preset=paper
    # The paper's equations and numbers where the released code differs. Not run by us.
    "paper": {
        "value_ratio": (8, f"{PAPER}, section 3: k = 8 for f, g and h"),
        "pool_size": (1, f"{PAPER}, section 3: no pooling"),
        "beta_2": (0.9, f"{PAPER}, section 4"),
        "steps": (1_000_000, f"{PAPER}, section 5: one million iterations"),
    },
    # python -m sagan_tf.train --dataset=imagenet2012 --preset=modern
    # Settings shared by later reproductions that beat the paper: 69.54 IS, 12.83 FID (mmgeneration,
    # batch 32 x 8, 826k steps). Not run by us.
    "modern": {
        "attention_resolutions": ((64,), BIGGAN_PYTORCH),
        "ema_decay": (0.999, f"{MMGENERATION}, the b32x8 recipe"),
        "ema_start_step": (2000, f"{BIGGAN_PYTORCH} and {MMGENERATION}"),
        "steps": (1_000_000, MMGENERATION),
    },
    # python -m sagan_tf.train --dataset=cifar10
    # mmgeneration reports IS 9.32 and FID 9.43 at 480,000 discriminator updates. Not run by us.
    "cifar10": {
        name: (value, f"{MMGENERATION}, sagan_32 cifar10 b64x1")
        for name, value in {
            "image_size": 32,
            "attention_resolutions": (16,),
            "kernel_initializer": "orthogonal",
            "steps": 100_000,
            "global_batch_size": 64,
            "d_steps": 5,
            "generator_learning_rate": 2e-4,
            "discriminator_learning_rate": 2e-4,
            "beta_1": 0.5,
        }.items()
    },
    # python -m sagan_tf.train --dataset=folder:PATH
    # Own pictures. docs/variety.md has the results with 2,000 pictures at 32 pixels, where R1 made
    # the Frechet distance four times as small, and augmentation made every score worse in 2,000
    # steps, with 10,000 at 32 pixels, and with 2,000 at 64 pixels.
    "small": {
        "image_size": (64, OURS_AT_64),
        "base_filters": (32, OURS_AT_64),
        "dense_bias": (False, ABLATION),
        "d_steps": (2, ABLATION),
        "global_batch_size": (32, OURS_FEW),
        "generator_learning_rate": (5e-4, OURS_FEW),
        "discriminator_learning_rate": (1e-3, OURS_FEW),
        "beta_2": (0.9, OURS_FEW),
        "ema_half_life": (10_000, OURS_FEW),
        **{name: (value, OURS_FEW) for name, value in _R1_OF_10.items()},
        "label_distribution": ("data", ADA),
        "steps": (10_000, OURS_FEW),
        "sample_every": (500, OURS_FEW),
    },
    # python -m sagan_tf.train --dataset=digits
    # Real handwritten digits in minutes on 2 CPU cores; docs/scores.md has the measured scores.
    "digits": {
        "dense_bias": (False, ABLATION),
        "d_steps": (2, ABLATION),
        **{
            name: (value, OURS)
            for name, value in {
                "image_size": 16,
                "base_filters": 16,
                "latent_dim": 64,
                "attention_resolutions": (8,),
                "steps": 4500,
                "global_batch_size": 32,
                "generator_learning_rate": 1e-3,
                "discriminator_learning_rate": 2e-3,
                "beta_2": 0.9,
                "ema_decay": 0.99,
                "sample_every": 500,
                "checkpoint_every": 500,
            }.items()
        },
    },
    # python -m sagan_tf.train --dataset=fashion_mnist
    # The settings for small colour pictures above, with the learning rates that were tried on 2,000
    # of these pictures. On all of them, 4,330 steps were run.
    "fashion_mnist": {
        **_AT_32_PIXELS,
        "d_steps": (2, OURS_FEW),
        **{name: (value, OURS_FEW) for name, value in _R1_OF_10.items()},
    },
    # python -m sagan_tf.train --dataset=robohash
    "robohash": {
        **_AT_32_PIXELS,
        "d_steps": (2, OURS_AT_32),
        **{name: (value, OURS_AT_32) for name, value in _R1_OF_10.items()},
        "generator_learning_rate": (1e-3, OURS_AT_32),
        "discriminator_learning_rate": (1e-3, OURS_AT_32),
        "steps": (4000, OURS_AT_32),
    },
    # python -m sagan_tf.train --dataset=geotex
    # Drawn images that tell geometry from texture, small enough for a CPU.
    # The discriminator's maps are twice as wide as the generator's; otherwise it does not see
    # geometry. With two discriminator updates per step the generator falls behind.
    "geotex": {
        **_AT_32_PIXELS,
        "base_filters": (8, OURS_GEOTEX),
        "discriminator_base_filters": (32, OURS_GEOTEX),
        "beta_2": (0.99, OURS_GEOTEX),
        "ema_decay": (0.99, OURS_GEOTEX),
        "steps": (20_000, OURS_NOT_RUN),
    },
}


def default_preset(dataset: str, num_images: int | None = None) -> str:
    """The preset for a data set if none is given.

    imagenet2012 takes `released`; cifar10, fashion_mnist, digits, robohash and geotex take the
    presets named after them; a folder takes `small`, unless it has very many pictures, and any
    other data set `modern`.

    Args:
        dataset: name of the data set.
        num_images: number of images in a folder; `None` if they were not counted.
    """
    name = dataset.split("/")[0].split(":")[0]
    if name == "imagenet2012":
        return "released"
    if name == "folder" and num_images is not None and num_images < FEW_PICTURES:
        return "small"
    return name if name in PRESETS else "modern"
