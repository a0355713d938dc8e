"""Checks that settings go together; the range of a single setting is given with its definition."""

from sagan_tf.architecture import DISCRIMINATOR_FILTERS, GENERATOR_FILTERS, check_sizes
from sagan_tf.config.settings import TrainSettings
from sagan_tf.fields import check_values

# Names of the policies in `sagan_tf.training.augmentation`.
AUGMENTATIONS = ("color", "translation", "cutout")


def check_settings(settings: TrainSettings) -> None:
    """Checks values at once that would otherwise fail only after minutes.

    Raises:
        ValueError: for a value out of its range, or values that do not go together.
    """
    if settings.dtype_policy == "mixed_float16":
        raise ValueError(
            "`--dtype_policy` mixed_float16 is not offered: its range is 6e-8 to 65504, so it "
            "needs loss scaling, separately for each of a GAN's two losses. mixed_bfloat16 has "
            "float32's range, is as fast and needs no scaling."
        )
    check_values(settings)
    if settings.xla and settings.deterministic:
        raise ValueError(
            "`--xla` and `--deterministic` exclude each other: XLA chooses kernels by itself, "
            "including kernels whose sums have no fixed order. Turn one off. Received: both"
        )
    _check_networks(settings)
    _check_regularization(settings)


def _check_networks(settings: TrainSettings) -> None:
    """Raises `ValueError` for sizes that do not fit together, before TensorFlow is imported."""
    attention = (
        settings.attention_resolutions,
        settings.query_key_ratio,
        settings.value_ratio,
        settings.mixing,
    )
    width, name = settings.base_filters, "base_filters"
    check_sizes(GENERATOR_FILTERS, settings.image_size, width, *attention, name)
    if settings.discriminator_base_filters is not None:
        width, name = settings.discriminator_base_filters, "discriminator_base_filters"
    check_sizes(DISCRIMINATOR_FILTERS, settings.image_size, width, *attention, name)


def _check_regularization(settings: TrainSettings) -> None:
    """Raises `ValueError` for settings that need or exclude one another."""
    if not set(settings.augment) <= set(AUGMENTATIONS) or len(set(settings.augment)) < len(
        settings.augment
    ):
        raise ValueError(
            f"`--augment` expects some of {', '.join(AUGMENTATIONS)}, each once. Received: "
            f"{','.join(settings.augment)}"
        )
    if settings.adaptive_augment and not settings.augment:
        raise ValueError(
            "`--adaptive_augment` needs `--augment`, which says what to apply, as in "
            "--augment=color,translation. Received: none"
        )
    if settings.r1_weight and settings.query_chunk_size:
        raise ValueError(
            "`--r1_weight` needs second derivatives, which attention in chunks does not have; "
            "leave out `--query_chunk_size`, and save memory by `--gradient_accumulation`. "
            f"Received: {settings.r1_weight:g} and {settings.query_chunk_size}"
        )
    if settings.ema_decay and settings.ema_half_life:
        raise ValueError(
            "Only one of `--ema_decay` and `--ema_half_life` can be given; 0 turns one off. "
            f"Received: {settings.ema_decay} and {settings.ema_half_life}"
        )
    if settings.freeze_discriminator and not settings.init_from:
        raise ValueError(
            "`--freeze_discriminator` keeps the weights of another run, which `--init_from` must "
            f"name. Received: {settings.freeze_discriminator} and no --init_from"
        )
    if (settings.class_balanced or settings.label_distribution == "data") and (
        not settings.conditional
    ):
        raise ValueError(
            "`--class_balanced` and `--label_distribution=data` need classes. Received: "
            "--noconditional"
        )
