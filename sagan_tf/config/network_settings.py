"""Settings for the data and the workdir, and for the networks."""

import dataclasses
from typing import ClassVar

from sagan_tf.fields import setting


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """The images to learn from, and the run's directory."""

    title: ClassVar[str] = "What to learn from, and where to keep the run"

    dataset: str = setting(
        "digits",
        "imagenet2012, cifar10 or any other TFDS image-classification set; folder:PATH with a "
        "sub-folder per class; prepared:PATH as `python -m sagan_tf.prepare` writes it; digits; "
        "robohash (cartoons); geotex (drawn images), or some of its classes, as in "
        "geotex:twin,cells.",
        also="data data_path input train_dir images folder",
        published=False,
    )
    data_dir: str | None = setting(None, "Where TFDS keeps its data sets.", free=True)
    split: str = setting(
        "train", "Split to learn from, as named by TFDS or the folder.", published=False
    )
    background: str = setting(
        "white", "Colour behind transparent images of folder:PATH.", published=False
    )
    flip: bool = setting(
        False, "Mirror half of the images at random.", also="mirror hflip horizontal_flip"
    )
    preset: str | None = setting(
        None,
        "released, paper, modern, small, cifar10, fashion_mnist, digits, robohash or geotex; by "
        "default chosen by the data set and, for folder:PATH, by the number of pictures.",
        free=True,
    )
    workdir: str | None = setting(
        None,
        "Directory of the run; by default runs/<data set>.",
        also="output output_dir out out_dir outdir logdir log_dir model_dir save_dir",
        free=True,
    )
    init_from: str | None = setting(
        None,
        "Trained run to take the initial weights from: its workdir, a published folder, its "
        "address hf://owner/name, or digits, which ship; classes may differ.",
        also="pretrained finetune weights load restore init_checkpoint",
        free=True,
    )


@dataclasses.dataclass(frozen=True)
class NetworkSettings:
    """Architecture of the generator and the discriminator."""

    title: ClassVar[str] = "The networks"

    image_size: int = setting(
        128,
        "Pixels per side of an image: 16, 32, 64, 128 or 256.",
        also="resolution size imsize img_size",
    )
    base_filters: int = setting(
        64,
        "Width of the networks: every feature map has a multiple of this many filters.",
        also="ch channels width ngf gf_dim g_conv_dim G_ch filters",
        at_least=1,
    )
    discriminator_base_filters: int | None = setting(
        None,
        "--base_filters of the discriminator; by default the same as the generator's.",
        also="ndf df_dim d_conv_dim D_ch",
        at_least=1,
        published=False,
    )
    latent_dim: int = setting(
        128, "Length of a latent vector.", also="z_dim dim_z nz noise_dim latent_size", at_least=1
    )
    dense_bias: bool = setting(
        True,
        "Give the generator's first layer a bias; at high learning rates it outweighs the latents.",
    )
    conditional: bool = setting(True, "Condition both networks on the class.")
    attention_resolutions: tuple[int, ...] = setting(
        (32,),
        "Sizes of the feature maps with attention, separated by commas; empty for none.",
        also="attention G_attn D_attn attn",
    )
    mixing: str = setting(
        "attention",
        "Layer at --attention_resolutions: attention, local_attention (to positions within 3 "
        "cells), or residual (convolutions with as many weights).",
    )
    query_key_ratio: int = setting(
        8, "Input channels of the attention per query channel, and per key channel."
    )
    value_ratio: int = setting(2, "Input channels of the attention per value channel.")
    pool_size: int = setting(
        2, "Window of the max pooling of the attention's keys and values; 1 for none.", at_least=1
    )
    generator_spectral_normalization: bool = setting(
        True,
        "Normalise the generator's weights spectrally; the discriminator's always are normalised.",
    )
    relu_shortcut: bool = setting(
        False,
        "Let the discriminator's shortcuts begin with a ReLU, for weights from PyTorch code with "
        "in-place ReLUs.",
    )
    kernel_initializer: str = setting(
        "glorot_uniform", "Initializer of every kernel.", choices=("glorot_uniform", "orthogonal")
    )
    resampling: str = setting(
        "auto",
        "Form of convolutions with resampling: auto, merged or plain, which are equivalent.",
        choices=("auto", "merged", "plain"),
        published=False,
    )
    batch_norm_momentum: float = setting(
        0.999**4,
        "Momentum of the moving statistics in the generator's blocks, updated twice a step.",
        at_least=0,
        below=1,
    )
    output_batch_norm_momentum: float = setting(
        0.9999**4,
        "Momentum of the moving statistics before the generator's last convolution.",
        at_least=0,
        below=1,
    )
    batch_norm_epsilon: float = setting(1e-5, "Added to the variance in every batch norm.", above=0)
    sync_batch_norm: bool = setting(False, "Compute batch statistics over all replicas.")
