"""What a run learns from, and the networks that learn."""

import dataclasses
from typing import ClassVar

from sagan_tf.fields import setting


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """The images, and where the run lives."""

    title: ClassVar[str] = "What to learn from, and where the run lives"

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


@dataclasses.dataclass(frozen=True)
class NetworkSettings:
    """Sizes and forms of generator and discriminator."""

    title: ClassVar[str] = "The networks"

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
