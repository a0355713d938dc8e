"""Settings for optimisation (steps, learning rates, averages) and for regularisation."""

import dataclasses
import math
from typing import ClassVar

from sagan_tf.fields import setting


@dataclasses.dataclass(frozen=True)
class OptimisationSettings:
    """Updates, learning rates and the moving average."""

    title: ClassVar[str] = "The optimisation"

    steps: int = setting(
        2_000_000,
        "Total number of training steps, each with one generator update.",
        also="epochs num_epochs iterations iters total_step max_steps num_steps max_iter kimg",
        at_least=1,
        free=True,
    )
    global_batch_size: int = setting(
        256, "Images per update, over all replicas.", also="batch_size batch bs", at_least=1
    )
    class_balanced: bool = setting(
        False,
        "Show the discriminator every class equally often, however many images it has.",
        also="balanced oversample",
        published=False,
    )
    label_distribution: str = setting(
        "uniform",
        "Classes of generated images in training: uniform, or data (as frequent as in the data).",
        choices=("uniform", "data"),
    )
    d_steps: int = setting(
        1,
        "Discriminator updates per generator update.",
        also="num_D_steps n_critic d_iters critic_steps disc_iters",
        at_least=1,
    )
    gradient_accumulation: int = setting(
        1,
        "Number of parts that each update's batch is split into, to save memory.",
        also="accumulation num_G_accumulations num_D_accumulations accumulate",
        at_least=1,
        published=False,
    )
    generator_learning_rate: float = setting(
        1e-4,
        "Adam's learning rate for the generator.",
        also="lr learning_rate g_lr G_lr lr_g",
        above=0,
    )
    discriminator_learning_rate: float = setting(
        4e-4,
        "Adam's learning rate for the discriminator.",
        also="lr learning_rate d_lr D_lr lr_d",
        above=0,
    )
    beta_1: float = setting(
        0.0, "Adam's beta_1 for both networks.", also="beta1", at_least=0, below=1
    )
    beta_2: float = setting(
        0.999, "Adam's beta_2 for both networks.", also="beta2", at_least=0, below=1
    )
    schedule: str = setting(
        "constant",
        "Schedule of both learning rates: constant; linear or cosine, which decay to 0.",
        also="lr_schedule lr_scheduler scheduler decay",
        choices=("constant", "linear", "cosine"),
        published=False,
    )
    freeze_discriminator: int = setting(
        0,
        "Number of discriminator blocks, counted from the image, that keep the weights of "
        "--init_from.",
        at_least=0,
        published=False,
    )
    ema_decay: float = setting(
        0.0,
        "Decay per step of the moving average of the generator's weights; 0 keeps none.",
        also="ema use_ema momentum",
        at_least=0,
        below=1,
    )
    ema_start_step: int = setting(
        0,
        "Before this step the average is a copy.",
        published=False,
        only_with="ema_decay ema_half_life",
    )
    ema_half_life: int = setting(
        0,
        "Instead of --ema_decay: number of images after which a weight counts half in the average.",
        at_least=0,
        published=False,
    )
    ema_ramp: float = setting(
        0.05,
        "Limit of the half-life, as a fraction of the images seen so far.",
        at_least=0,
        below=math.inf,
        published=False,
        only_with="ema_half_life",
    )
    seed: int = setting(
        0,
        "Seed of weights, noise and the order of the data.",
        at_least=0,
        below=2**63,
        published=False,
    )


@dataclasses.dataclass(frozen=True)
class RegularizationSettings:
    """Augmentation and penalties of the discriminator."""

    title: ClassVar[str] = "What keeps the discriminator from memorising few images"

    augment: tuple[str, ...] = setting(
        (),
        "Differentiable augmentation of real and generated images, separated by commas: color, "
        "translation, cutout (which shows in samples). Empty for none.",
        also="augmentation aug diffaugment diffaug ada",
        published=False,
    )
    adaptive_augment: bool = setting(
        False,
        "Augment with a probability that starts at 0 and is adapted towards --augment_target.",
        published=False,
    )
    augment_target: float = setting(
        0.6,
        "Mean sign of the logits of real images above which the probability rises.",
        above=-1,
        below=1,
        published=False,
        only_with="adaptive_augment",
    )
    augment_ramp_images: int = setting(
        500_000,
        "Number of real images in which the probability can rise from 0 to 1.",
        at_least=1,
        published=False,
        only_with="adaptive_augment",
    )
    consistency_weight: float = setting(
        0.0,
        "Weight of the squared difference between the logits of a real image and its augmented "
        "copy.",
        at_least=0,
        below=math.inf,
        published=False,
    )
    lecam_weight: float = setting(
        0.0,
        "Weight of LeCam: squared distance of real logits to the moving average of fake logits, "
        "and vice versa.",
        at_least=0,
        below=math.inf,
        published=False,
    )
    r1_weight: float = setting(
        0.0,
        "Weight of R1: half the squared gradient of the logits with respect to real images.",
        at_least=0,
        below=math.inf,
        published=False,
    )
    r1_interval: int = setting(
        16,
        "Discriminator updates from one R1 penalty to the next.",
        at_least=1,
        published=False,
        only_with="r1_weight",
    )
