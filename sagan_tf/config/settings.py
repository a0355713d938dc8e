"""Everything `python -m sagan_tf.train` can be told: each setting once, with what goes with it."""

import dataclasses
import math
from typing import ClassVar

from sagan_tf.fields import setting


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Settings of a training run. Defaults are the `released` preset.

    Beside what `setting` knows, `free` settings may differ between the parts of one run, as they do
    not change what is computed, and `published=False` marks those that no publication gives.
    """

    # Names of those that some preset sets; filled where presets are known.
    by_preset: ClassVar[frozenset[str]] = frozenset()
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
        published=False,
    )
    data_dir: str | None = setting(None, "Where TFDS keeps its data sets.", free=True)
    split: str = setting(
        "train", "The split to learn from, as TFDS or the folder names it.", published=False
    )
    background: str = setting(
        "white", "Colour behind transparent images of folder:PATH.", published=False
    )
    flip: bool = setting(
        False, "Mirror half of the images at random.", also="mirror hflip horizontal_flip"
    )
    preset: str | None = setting(
        None,
        "released, paper, modern, small, cifar10, fashion_mnist, digits, robohash or geotex; "
        "without it, by the data set and, for folder:PATH, by the number of pictures.",
        free=True,
    )
    workdir: str | None = setting(
        None,
        "The run's directory; without it runs/<data set>.",
        also="output output_dir out out_dir outdir logdir log_dir model_dir save_dir",
        free=True,
    )
    init_from: str | None = setting(
        None,
        "The workdir of a trained run whose weights to start from; classes may differ.",
        also="pretrained finetune weights load restore init_checkpoint",
        free=True,
    )

    image_size: int = setting(
        128, "Pixels: 16, 32, 64, 128 or 256.", also="resolution size imsize img_size"
    )
    base_filters: int = setting(
        64,
        "Filters, of which every feature map has a multiple.",
        also="ch channels width ngf gf_dim g_conv_dim G_ch filters",
        at_least=1,
    )
    discriminator_base_filters: int | None = setting(
        None,
        "The same of the discriminator alone; without it as many as the generator's.",
        also="ndf df_dim d_conv_dim D_ch",
        at_least=1,
        published=False,
    )
    latent_dim: int = setting(
        128, "Length of a latent vector.", also="z_dim dim_z nz noise_dim latent_size", at_least=1
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
    pool_size: int = setting(2, "Max-pooling of keys and values; 1 for none.", at_least=1)
    generator_spectral_normalization: bool = setting(
        True, "Normalise the generator's weights, too; the discriminator's always are."
    )
    relu_shortcut: bool = setting(
        False,
        "Let the discriminator's shortcuts begin with a ReLU, for weights of PyTorch code whose "
        "ReLU works in place.",
    )
    kernel_initializer: str = setting(
        "glorot_uniform", "Of every kernel.", choices=("glorot_uniform", "orthogonal")
    )
    resampling: str = setting(
        "auto",
        "Form of resampling convolutions: auto, merged or plain.",
        choices=("auto", "merged", "plain"),
        published=False,
    )
    batch_norm_momentum: float = setting(
        0.999**4, "Of the blocks' moving statistics, which move twice a step.", at_least=0, below=1
    )
    output_batch_norm_momentum: float = setting(
        0.9999**4, "Of the moving statistics before the last convolution.", at_least=0, below=1
    )
    batch_norm_epsilon: float = setting(1e-5, "Added to every batch norm's variance.", above=0)
    sync_batch_norm: bool = setting(False, "Take batch statistics over all replicas.")

    steps: int = setting(
        2_000_000,
        "Generator updates in all.",
        also="epochs num_epochs iterations iters total_step max_steps num_steps max_iter kimg",
        at_least=1,
        free=True,
    )
    global_batch_size: int = setting(
        256, "Images per update, over all replicas.", also="batch bs", at_least=1
    )
    class_balanced: bool = setting(
        False,
        "Show the discriminator every class equally often, however many images it has.",
        also="balanced oversample",
        published=False,
    )
    label_distribution: str = setting(
        "uniform",
        "Of the classes of generated images: uniform, or data, the frequencies of the real ones.",
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
        "Parts into which each update's batch is split.",
        also="accumulation num_G_accumulations num_D_accumulations accumulate",
        at_least=1,
        published=False,
    )
    generator_learning_rate: float = setting(
        1e-4, "Adam's, of the generator.", also="lr learning_rate g_lr G_lr lr_g", above=0
    )
    discriminator_learning_rate: float = setting(
        4e-4, "Adam's, of the discriminator.", also="lr learning_rate d_lr D_lr lr_d", above=0
    )
    beta_1: float = setting(0.0, "Adam's, of both.", also="beta1", at_least=0, below=1)
    beta_2: float = setting(0.999, "Adam's, of both.", also="beta2", at_least=0, below=1)
    schedule: str = setting(
        "constant",
        "Of both learning rates: constant; linear or cosine, which end at 0.",
        also="lr_schedule lr_scheduler scheduler decay",
        choices=("constant", "linear", "cosine"),
        published=False,
    )
    freeze_discriminator: int = setting(
        0,
        "Blocks of the discriminator, from the image on, that keep the weights of --init_from.",
        at_least=0,
        published=False,
    )
    ema_decay: float = setting(
        0.0,
        "Of the generator's moving average, per step; 0 keeps none.",
        also="ema use_ema momentum",
        at_least=0,
        below=1,
    )
    ema_start_step: int = setting(0, "Before this step the average is a copy.", published=False)
    ema_half_life: int = setting(
        0,
        "Instead of a decay: images after which a weight counts half in the average.",
        at_least=0,
        published=False,
    )
    ema_ramp: float = setting(
        0.05,
        "The half-life is at most this share of the images seen so far.",
        at_least=0,
        below=math.inf,
        published=False,
    )
    seed: int = setting(
        0, "Of weights, noise and the order of the data.", at_least=0, below=2**63, published=False
    )

    augment: tuple[str, ...] = setting(
        (),
        "Differentiable augmentation of real and generated images, separated by commas: color, "
        "translation, cutout (which shows in samples). Empty for none.",
        also="augmentation aug diffaugment diffaug ada",
        published=False,
    )
    adaptive_augment: bool = setting(
        False,
        "Augment with a probability that begins at 0 and follows --augment_target.",
        published=False,
    )
    augment_target: float = setting(
        0.6,
        "Mean sign of the logits of real images above which the probability rises.",
        above=-1,
        below=1,
        published=False,
    )
    augment_ramp_images: int = setting(
        500_000,
        "Real images in which the probability can rise from 0 to 1.",
        at_least=1,
        published=False,
    )
    consistency_weight: float = setting(
        0.0,
        "Of the difference of the logits of a real image and its augmented copy, squared.",
        at_least=0,
        below=math.inf,
        published=False,
    )
    lecam_weight: float = setting(
        0.0,
        "Of the distance of logits to the moving average of the other kind's, squared.",
        at_least=0,
        below=math.inf,
        published=False,
    )
    r1_weight: float = setting(
        0.0,
        "Of half the squared gradient of logits by real images.",
        at_least=0,
        below=math.inf,
        published=False,
    )
    r1_interval: int = setting(
        16,
        "Discriminator updates of which one has the gradient penalty.",
        at_least=1,
        published=False,
    )

    device: str = setting(
        "auto",
        "gpu, cpu, or auto: GPUs if there are any.",
        also="use_gpu cpu",
        choices=("auto", "cpu", "gpu"),
        free=True,
    )
    num_replicas: int | None = setting(
        None,
        "Replicas on each machine: GPUs, or logical CPU devices; without it all GPUs, or one CPU.",
        also="gpus num_gpus ngpu gpu devices num_devices",
        at_least=1,
        published=False,
    )
    worker_timeout: int = setting(
        300,
        "Seconds to wait for other workers, of TF_CONFIG or a SLURM step, to come up.",
        free=True,
    )
    dtype_policy: str = setting(
        "float32",
        "float32 or mixed_bfloat16.",
        also="fp16 bf16 amp mixed_precision half precision dtype",
        choices=("float32", "mixed_bfloat16"),
        published=False,
    )
    query_chunk_size: int | None = setting(
        None,
        "Positions that attend at a time, to save memory; without it all.",
        at_least=1,
        published=False,
    )
    xla: bool = setting(
        False,
        "Compile forward pass and gradients with XLA.",
        also="jit jit_compile compile",
        published=False,
    )
    deterministic: bool = setting(
        False, "Forbid kernels whose sums have no fixed order (GPU).", free=True
    )
    steps_per_call: int = setting(
        10, "Steps per call from Python into TensorFlow.", at_least=1, free=True
    )

    resume: bool = setting(
        True, "Go on from the workdir's newest checkpoint.", also="continue restart", free=True
    )
    dry_run: bool = setting(False, "Print settings, sizes and costs, then stop.", free=True)
    time: bool = setting(
        False,
        "With --dry_run: run some steps on noise, and tell how long the run would take.",
        free=True,
    )
    log_every: int = setting(
        100, "Steps between lines in TensorBoard and metrics.jsonl.", at_least=1, free=True
    )
    sample_every: int = setting(
        1000,
        "Steps between sample grids.",
        also="sample_interval snap snapshot_interval sample_step",
        at_least=1,
        free=True,
    )
    checkpoint_every: int = setting(
        1000,
        "Steps between checkpoints.",
        also="save_every save_freq save_checkpoints_steps model_save_step",
        at_least=1,
        free=True,
    )
    max_to_keep: int = setting(3, "Checkpoints to keep.", at_least=1, free=True)
    eval_every: int = setting(
        0,
        "Steps between scores, of which the best's checkpoint is kept; 0 for none.",
        also="test_every metrics fid_every",
        at_least=0,
        free=True,
    )
    eval_images: int = setting(5000, "Images generated for each score.", at_least=2, free=True)
    extractor: str | None = setting(
        None,
        "Of features to score: inception, classifier or PATH.keras, as `sagan_tf.evaluate` says.",
        free=True,
    )
    cache_dir: str = setting(
        "~/.cache/sagan_tf", "Where features of real images are kept.", free=True
    )
    max_rollbacks: int = setting(
        0,
        "How often in all to go back to the newest checkpoint, and on from there with other noise "
        "and order of the data, when losses or weights are not finite; then, or with 0, stop.",
        at_least=0,
        free=True,
    )

    @property
    def averaged(self) -> bool:
        """Whether a moving average of the generator is kept."""
        return self.ema_decay > 0 or self.ema_half_life > 0


def _marked(**marks: object) -> frozenset[str]:
    return frozenset(
        field.name
        for field in dataclasses.fields(TrainSettings)
        for mark, value in marks.items()
        if field.metadata.get(mark) == value
    )


FREE_SETTINGS = _marked(free=True)
UNPUBLISHED = _marked(free=True, published=False)
