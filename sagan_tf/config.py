"""Settings of a training run, and named presets that set them."""

import dataclasses
from typing import Any, ClassVar

from sagan_tf.architecture import DISCRIMINATOR_FILTERS, GENERATOR_FILTERS, check_sizes
from sagan_tf.command import setting


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Everything `python -m sagan_tf.train` can be told. Defaults are the `released` preset."""

    # By the first field of each.
    flag_groups: ClassVar[dict[str, str]] = {
        "dataset": "What to learn from, and where the run lives",
        "image_size": "The networks",
        "steps": "The optimisation",
        "augment": "What keeps the discriminator from learning few images by heart",
        "device": "How to compute it",
        "resume": "What to keep and show",
    }

    dataset: str = setting(
        "digits",
        "imagenet2012, cifar10 or any other TFDS image-classification set; folder:PATH with a "
        "sub-folder per class; prepared:PATH as `python -m sagan_tf.prepare` writes it; digits; "
        "robohash, cartoons; geotex, drawn.",
        also="data data_path input train_dir images folder",
    )
    data_dir: str | None = setting(None, "Where TFDS keeps its data sets.")
    split: str = setting("train", "The split to learn from, as TFDS or the folder names it.")
    background: str = setting("white", "Colour behind transparent images of folder:PATH.")
    flip: bool = setting(
        False, "Mirror half of the images at random.", also="mirror hflip horizontal_flip"
    )
    preset: str | None = setting(
        None,
        "released, paper, modern, small, cifar10, fashion_mnist, digits, robohash or geotex; "
        "without it, by the data set and, for folder:PATH, by the number of pictures.",
    )
    workdir: str | None = setting(
        None,
        "The run's directory; without it runs/<data set>.",
        also="output output_dir out out_dir outdir logdir log_dir model_dir save_dir",
    )
    init_from: str | None = setting(
        None,
        "The workdir of a trained run whose weights to start from; classes may differ.",
        also="pretrained finetune weights load restore init_checkpoint",
    )

    image_size: int = setting(
        128, "Pixels: 16, 32, 64, 128 or 256.", also="resolution size imsize img_size"
    )
    base_filters: int = setting(
        64,
        "Filters, of which every feature map has a multiple.",
        also="ch channels width ngf gf_dim g_conv_dim G_ch filters",
    )
    discriminator_base_filters: int | None = setting(
        None,
        "The same of the discriminator alone; without it as many as the generator's.",
        also="ndf df_dim d_conv_dim D_ch",
    )
    latent_dim: int = setting(
        128, "Length of a latent vector.", also="z_dim dim_z nz noise_dim latent_size"
    )
    dense_bias: bool = setting(
        True, "Give the generator's first layer a bias, which at high rates drowns the latents."
    )
    conditional: bool = setting(True, "Condition on the class.")
    attention_resolutions: tuple[int, ...] = setting(
        (32,),
        "Sizes of the feature maps that attend, separated by commas; empty for none.",
        also="attention G_attn D_attn attn",
    )
    mixing: str = setting(
        "attention",
        "What stands there: attention, local_attention (to places within 3 cells), or residual, "
        "convolutions with as many weights.",
    )
    query_key_ratio: int = setting(8, "Channels per query and key channel of the attention.")
    value_ratio: int = setting(2, "Channels per value channel of the attention.")
    pool_size: int = setting(2, "Max-pooling of keys and values; 1 for none.")
    generator_spectral_normalization: bool = setting(
        True, "Normalise the generator's weights, too; the discriminator's always are."
    )
    relu_shortcut: bool = setting(
        False,
        "Let the discriminator's shortcuts begin with a ReLU, for weights of PyTorch code whose "
        "ReLU works in place.",
    )
    kernel_initializer: str = setting("glorot_uniform", "Of every kernel.")
    resampling: str = setting("auto", "Form of resampling convolutions: auto, merged or plain.")
    batch_norm_momentum: float = setting(
        0.999**4, "Of the blocks' moving statistics, which move twice a step."
    )
    output_batch_norm_momentum: float = setting(
        0.9999**4, "Of the moving statistics before the last convolution."
    )
    batch_norm_epsilon: float = setting(1e-5, "Added to every batch norm's variance.")
    sync_batch_norm: bool = setting(False, "Take batch statistics over all replicas.")

    steps: int = setting(
        2_000_000,
        "Generator updates in all.",
        also="epochs num_epochs iterations iters total_step max_steps num_steps max_iter kimg",
    )
    global_batch_size: int = setting(256, "Images per update, over all replicas.", also="batch bs")
    class_balanced: bool = setting(
        False,
        "Show the discriminator every class equally often, however many images it has.",
        also="balanced oversample",
    )
    label_distribution: str = setting(
        "uniform",
        "Of the classes of generated images: uniform, or data, the frequencies of the real ones.",
    )
    d_steps: int = setting(
        1,
        "Discriminator updates per generator update.",
        also="num_D_steps n_critic d_iters critic_steps disc_iters",
    )
    gradient_accumulation: int = setting(
        1,
        "Parts into which each update's batch is split.",
        also="accumulation num_G_accumulations num_D_accumulations accumulate",
    )
    generator_learning_rate: float = setting(
        1e-4, "Adam's, of the generator.", also="lr learning_rate g_lr G_lr lr_g"
    )
    discriminator_learning_rate: float = setting(
        4e-4, "Adam's, of the discriminator.", also="lr learning_rate d_lr D_lr lr_d"
    )
    beta_1: float = setting(0.0, "Adam's, of both.", also="beta1")
    beta_2: float = setting(0.999, "Adam's, of both.", also="beta2")
    schedule: str = setting(
        "constant",
        "Of both learning rates: constant; linear or cosine, which end at 0.",
        also="lr_schedule lr_scheduler scheduler decay",
    )
    freeze_discriminator: int = setting(
        0, "Blocks of the discriminator, from the image on, that keep the weights of --init_from."
    )
    ema_decay: float = setting(
        0.0,
        "Of the generator's moving average, per step; 0 keeps none.",
        also="ema use_ema momentum",
    )
    ema_start_step: int = setting(0, "Before this step the average is a copy.")
    ema_half_life: int = setting(
        0, "Instead of a decay: images after which a weight counts half in the average."
    )
    ema_ramp: float = setting(
        0.05, "The half-life is at most this share of the images seen so far."
    )
    seed: int = setting(0, "Of weights, noise and the order of the data.")

    augment: tuple[str, ...] = setting(
        (),
        "Differentiable augmentation of real and generated images, separated by commas: color, "
        "translation, cutout (which shows in samples). Empty for none.",
        also="augmentation aug diffaugment diffaug ada",
    )
    adaptive_augment: bool = setting(
        False, "Augment with a probability that begins at 0 and follows --augment_target."
    )
    augment_target: float = setting(
        0.6, "Mean sign of the logits of real images above which the probability rises."
    )
    augment_ramp_images: int = setting(
        500_000, "Real images in which the probability can rise from 0 to 1."
    )
    consistency_weight: float = setting(
        0.0, "Of the difference of the logits of a real image and its augmented copy, squared."
    )
    lecam_weight: float = setting(
        0.0, "Of the distance of logits to the moving average of the other kind's, squared."
    )
    r1_weight: float = setting(0.0, "Of half the squared gradient of logits by real images.")
    r1_interval: int = setting(16, "Discriminator updates of which one has the gradient penalty.")

    device: str = setting("auto", "gpu, cpu, or auto: GPUs if there are any.", also="use_gpu cpu")
    num_replicas: int | None = setting(
        None,
        "Replicas on each machine: GPUs, or logical CPU devices; without it all GPUs, or one CPU.",
        also="gpus num_gpus ngpu gpu devices num_devices",
    )
    worker_timeout: int = setting(
        300, "Seconds to wait for other workers, of TF_CONFIG or a SLURM step, to come up."
    )
    dtype_policy: str = setting(
        "float32",
        "float32 or mixed_bfloat16.",
        also="fp16 bf16 amp mixed_precision half precision dtype",
    )
    query_chunk_size: int | None = setting(
        None, "Positions that attend at a time, to save memory; without it all."
    )
    xla: bool = setting(
        False, "Compile forward pass and gradients with XLA.", also="jit jit_compile compile"
    )
    deterministic: bool = setting(False, "Forbid kernels whose sums have no fixed order (GPU).")
    steps_per_call: int = setting(10, "Steps per call from Python into TensorFlow.")

    resume: bool = setting(
        True, "Go on from the workdir's newest checkpoint.", also="continue restart"
    )
    dry_run: bool = setting(False, "Print settings, sizes and costs, then stop.")
    time: bool = setting(
        False, "With --dry_run: run some steps on noise, and tell how long the run would take."
    )
    log_every: int = setting(100, "Steps between lines in TensorBoard and metrics.jsonl.")
    sample_every: int = setting(
        1000,
        "Steps between sample grids.",
        also="sample_interval snap snapshot_interval sample_step",
    )
    checkpoint_every: int = setting(
        1000,
        "Steps between checkpoints.",
        also="save_every save_freq save_checkpoints_steps model_save_step",
    )
    max_to_keep: int = setting(3, "Checkpoints to keep.")
    eval_every: int = setting(
        0,
        "Steps between scores, of which the best's checkpoint is kept; 0 for none.",
        also="test_every metrics fid_every",
    )
    eval_images: int = setting(5000, "Images generated for each score.")
    extractor: str | None = setting(
        None,
        "Of features to score: inception, classifier or PATH.keras, as `sagan_tf.evaluate` says.",
    )
    cache_dir: str = setting("~/.cache/sagan_tf", "Where features of real images are kept.")
    max_rollbacks: int = setting(
        0,
        "How often in all to go back to the newest checkpoint, and on from there with other noise "
        "and order of the data, when losses or weights are not finite; then, or with 0, stop.",
    )

    @property
    def averaged(self) -> bool:
        """Whether a moving average of the generator is kept."""
        return self.ema_decay > 0 or self.ema_half_life > 0


# May differ between the parts of one run: they do not change what is computed.
FREE_SETTINGS = frozenset(
    "data_dir workdir preset init_from steps device deterministic steps_per_call resume dry_run "
    "time log_every sample_every checkpoint_every max_to_keep max_rollbacks eval_every eval_images "
    "extractor cache_dir worker_timeout".split()
)

# What no publication sets.
UNPUBLISHED = FREE_SETTINGS | set(
    "dataset split background seed num_replicas dtype_policy xla resampling query_chunk_size "
    "gradient_accumulation ema_start_step ema_half_life ema_ramp schedule freeze_discriminator "
    "discriminator_base_filters class_balanced augment adaptive_augment augment_target "
    "augment_ramp_images consistency_weight lecam_weight r1_weight r1_interval".split()
)

# What `sagan_tf.training.augmentation` knows.
AUGMENTATIONS = ("color", "translation", "cutout")

RELEASED = "SAGAN's released code, brain-research/self-attention-gan"
PAPER = "SAGAN's paper, arXiv 1805.08318"
BIGGAN_PYTORCH = "BigGAN-PyTorch, scripts/launch_SAGAN_bs128x2_ema.sh"
MMGENERATION = "mmgeneration, configs/sagan"
OURS = "ours, tried on this data"
OURS_AT_32 = "ours, tried on robohash"
OURS_FEW = "ours, tried on 2,000 pictures at 32 pixels"
OURS_NOT_RUN = "ours, not run to its end"
ABLATION = "python -m sagan_tf.study --ablation"
FLAG, SHARE = "flag", "the preset's share of the image"
ADA = "StyleGAN2-ADA, arXiv 2006.06676"

# Fewer pictures than this take the preset `small`: published methods for limited data gain most
# below some ten thousand (arXiv 2006.06676, figure 7).
FEW_PICTURES = 10_000

# Many small colour pictures on 2 CPU cores. By its table of filters the generator has four times
# `base_filters` everywhere, the discriminator two times, so that it needs twice as many to see as
# much as the generator can draw.
_AT_32_PIXELS: dict[str, tuple[Any, str]] = {
    "dense_bias": (False, ABLATION),
    "d_steps": (2, ABLATION),
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
            "ema_decay": 0.995,
            "sample_every": 500,
            "checkpoint_every": 500,
        }.items()
    },
}

_AT_32_PIXELS_ONE_UPDATE = {
    name: value for name, value in _AT_32_PIXELS.items() if name != "d_steps"
}

# What a preset changes in the defaults, each value with its source.
PRESETS: dict[str, dict[str, tuple[Any, str]]] = {
    # python -m sagan_tf.train --dataset=imagenet2012
    # The released code on ImageNet 128x128. The paper reports two weeks on 4 GPUs and FID 18.28
    # with attention at 32x32 (table 1). Not run by us.
    "released": {},
    # python -m sagan_tf.train --dataset=imagenet2012 --preset=paper
    # The paper's equations where its code differs. Not run by us.
    "paper": {
        "value_ratio": (8, f"{PAPER}, section 3: k = 8 for f, g and h"),
        "pool_size": (1, f"{PAPER}, section 3: no pooling"),
        "beta_2": (0.9, f"{PAPER}, section 4"),
        "steps": (1_000_000, f"{PAPER}, section 5: one million iterations"),
    },
    # python -m sagan_tf.train --dataset=imagenet2012 --preset=modern
    # What later reproductions that beat the paper share: 69.54 IS, 12.83 FID (mmgeneration,
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
    # Own pictures, up to some thousands. docs/variety.md has what it does with 2,000 pictures at 32
    # pixels, where augmentation made every score worse in 2,000 steps; not run at 64.
    "small": {
        "image_size": (64, OURS_NOT_RUN),
        "base_filters": (32, OURS_NOT_RUN),
        "dense_bias": (False, ABLATION),
        "d_steps": (2, ABLATION),
        "global_batch_size": (32, OURS_FEW),
        "generator_learning_rate": (5e-4, OURS_FEW),
        "discriminator_learning_rate": (1e-3, OURS_FEW),
        "beta_2": (0.9, OURS_FEW),
        "ema_half_life": (10_000, OURS_FEW),
        "label_distribution": ("data", ADA),
        "steps": (10_000, OURS_NOT_RUN),
        "sample_every": (500, OURS_NOT_RUN),
    },
    # python -m sagan_tf.train --dataset=digits
    # Real handwritten digits in minutes on 2 CPU cores; the README has the measured scores.
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
    # The recipe of robohash; not run.
    "fashion_mnist": _AT_32_PIXELS,
    # python -m sagan_tf.train --dataset=robohash
    # Here the discriminator outruns the generator by two updates a step, and shapes and colours
    # become alike; with one, and equal rates, they do not.
    "robohash": {
        **_AT_32_PIXELS_ONE_UPDATE,
        "generator_learning_rate": (1e-3, OURS_AT_32),
        "discriminator_learning_rate": (1e-3, OURS_AT_32),
    },
    # python -m sagan_tf.train --dataset=geotex
    # Drawn images that tell geometry from texture, small enough for a CPU.
    # The discriminator is twice as wide as the generator's maps, without which it does not see
    # geometry; two updates of it a step leave the generator behind.
    "geotex": {
        **_AT_32_PIXELS_ONE_UPDATE,
        "base_filters": (8, OURS_NOT_RUN),
        "discriminator_base_filters": (32, OURS_NOT_RUN),
        "beta_2": (0.99, OURS_NOT_RUN),
        "ema_decay": (0.99, OURS_NOT_RUN),
        "steps": (20_000, OURS_NOT_RUN),
    },
}


def default_preset(dataset: str, num_images: int | None = None) -> str:
    """The preset of a data set that names none.

    imagenet2012 takes `released`; cifar10, fashion_mnist, digits, robohash and geotex those named
    after them; a folder of few pictures `small`; any other data set `modern`.

    Args:
        dataset: its name.
        num_images: of a folder; `None` if they were not counted.
    """
    name = dataset.split("/")[0].split(":")[0]
    if name == "imagenet2012":
        return "released"
    if name == "folder" and num_images is not None and num_images < FEW_PICTURES:
        return "small"
    return name if name in PRESETS else "modern"


def resolve(
    given: dict[str, Any], dataset: str, num_images: int | None = None
) -> tuple[TrainSettings, dict[str, str]]:
    """Lays the flags that were given over the preset, and the preset over the defaults.

    Attention resolutions follow an image size that is given without them: they keep their share
    of the image, but are not smaller than 8.

    Args:
        given: flags by name.
        dataset: the data set's own name, from which the preset follows if none is given.
        num_images: see `default_preset`.

    Returns:
        The settings, and where each value came from.

    Raises:
        ValueError: for an unknown preset or a value outside its range.
    """
    preset = given.get("preset") or default_preset(dataset, num_images)
    if preset not in PRESETS:
        raise ValueError(f"`--preset` must be one of {sorted(PRESETS)}. Received: {preset!r}")
    values = {name: value for name, (value, _) in PRESETS[preset].items()}
    for name, other in (("ema_decay", "ema_half_life"), ("ema_half_life", "ema_decay")):
        if given.get(name) and other not in given:
            values.pop(other, None)  # the flag says how to average, instead of the preset
    sources = {
        field.name: "default" if field.name in UNPUBLISHED else RELEASED
        for field in dataclasses.fields(TrainSettings)
    }
    sources.update({name: source for name, (_, source) in PRESETS[preset].items()})
    settings = TrainSettings(**{**values, **given, "preset": preset})
    sources.update(dict.fromkeys(given, FLAG))
    if "image_size" in given and "attention_resolutions" not in given:
        original = TrainSettings(**values)
        share = [
            max(8, size * settings.image_size // original.image_size)
            for size in original.attention_resolutions
        ]
        settings = dataclasses.replace(settings, attention_resolutions=tuple(share))
        sources["attention_resolutions"] = SHARE
    if settings.workdir is None:
        workdir = "runs/" + dataset.replace(":", "-").replace("/", "-").strip("-")
        settings = dataclasses.replace(settings, workdir=workdir)
    _check(settings)
    return settings, sources


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The settings that change the result and differ, as `name: before -> after`."""
    # Learning rates that fall reach 0 at the last step.
    free = (
        FREE_SETTINGS
        if after.get("schedule", "constant") == "constant"
        else FREE_SETTINGS - {"steps"}
    )
    return [
        f"{name}: {before.get(name)!r} -> {after.get(name)!r}"
        for name in sorted({*before, *after} - free)
        if before.get(name) != after.get(name)
    ]


def _check(settings: TrainSettings) -> None:
    """Raises for values that would fail only after minutes."""
    for name in (
        "steps global_batch_size latent_dim base_filters d_steps gradient_accumulation "
        "steps_per_call log_every sample_every checkpoint_every max_to_keep augment_ramp_images "
        "r1_interval"
    ).split():
        if getattr(settings, name) < 1:
            raise ValueError(f"`--{name}` must be positive. Received: {getattr(settings, name)}")
    if not 0 <= settings.seed < 2**63:
        raise ValueError(f"`--seed` must be in [0, 2^63). Received: {settings.seed}")
    for name in (
        "max_rollbacks eval_every ema_half_life ema_ramp freeze_discriminator consistency_weight "
        "lecam_weight r1_weight"
    ).split():
        if not 0 <= getattr(settings, name) < float("inf"):
            raise ValueError(f"`--{name}` must be >= 0. Received: {getattr(settings, name)}")
    if settings.eval_images < 2:
        raise ValueError(f"`--eval_images` must be at least 2. Received: {settings.eval_images}")
    if not 0 <= settings.ema_decay < 1:
        raise ValueError(f"`--ema_decay` must be in [0, 1). Received: {settings.ema_decay}")
    for name in ("num_replicas", "query_chunk_size", "discriminator_base_filters"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise ValueError(f"`--{name}` must be positive. Received: {value}")
    for name in ("batch_norm_momentum", "output_batch_norm_momentum", "beta_1", "beta_2"):
        if not 0 <= getattr(settings, name) < 1:
            raise ValueError(f"`--{name}` must be in [0, 1). Received: {getattr(settings, name)}")
    for name in ("generator_learning_rate", "discriminator_learning_rate", "batch_norm_epsilon"):
        if not getattr(settings, name) > 0:
            raise ValueError(f"`--{name}` must be positive. Received: {getattr(settings, name)}")
    if settings.dtype_policy == "mixed_float16":
        raise ValueError(
            "`--dtype_policy` mixed_float16 is not offered: its range ends at 65504 and 6e-8, so "
            "it needs loss scaling, which a GAN's two losses would each want for themselves. "
            "mixed_bfloat16 has float32's range, the same speed and needs none."
        )
    for name, choices in {
        "device": ("auto", "cpu", "gpu"),
        "dtype_policy": ("float32", "mixed_bfloat16"),
        "kernel_initializer": ("glorot_uniform", "orthogonal"),
        "resampling": ("auto", "merged", "plain"),
        "schedule": ("constant", "linear", "cosine"),
        "label_distribution": ("uniform", "data"),
    }.items():
        if getattr(settings, name) not in choices:
            raise ValueError(
                f"`--{name}` must be one of {choices}. Received: {getattr(settings, name)!r}"
            )
    _check_networks(settings)
    _check_regularization(settings)


def _check_networks(settings: TrainSettings) -> None:
    """Raises for sizes that do not fit one another, before anything heavy is imported."""
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
    if settings.pool_size < 1:
        raise ValueError(f"`--pool_size` must be positive. Received: {settings.pool_size}")


def _check_regularization(settings: TrainSettings) -> None:
    """Raises for settings that need or exclude one another."""
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
    if not -1 < settings.augment_target < 1:
        raise ValueError(
            f"`--augment_target` must be between -1 and 1. Received: {settings.augment_target}"
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
