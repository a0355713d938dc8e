import pytest
import tensorflow as tf

from sagan_tf.models import Discriminator, Generator
from sagan_tf.training.cost import (
    PROGRAM_BYTES,
    SCRATCH_BYTES,
    multiply_accumulates,
    parameters,
    training_bytes,
    training_bytes_at_most,
    training_memory,
)

# Of the networks at 128 pixels, in 10 ** 9.
GIGA_AT_128 = {
    (Generator, "merged"): 5.74,
    (Generator, "plain"): 9.22,
    (Discriminator, "merged"): 2.96,
    (Discriminator, "plain"): 4.74,
}


@pytest.mark.parametrize(("network", "form"), GIGA_AT_128)
def test_multiply_accumulates_at_128(network, form):
    built = network(attention_resolutions=(32,), resampling=form, kernel_initializer="zeros")
    built.build()
    assert round(multiply_accumulates(built) / 1e9, 2) == GIGA_AT_128[network, form]


@pytest.mark.parametrize(("form", "num_classes"), [("plain", None), ("merged", 7)])
def test_multiply_accumulates_of_a_small_generator_by_hand(form, num_classes):
    """16 pixels, 1 base filter, latents of 2: maps of 4, 2 and 1 channels at 4, 8 and 16."""
    dense = 2 * 4 * 4 * 4
    if form == "plain":
        upsampling = 9 * 8 * 8 * 4 * 2 + 9 * 16 * 16 * 2 * 1
        shortcuts = 8 * 8 * 4 * 2 + 16 * 16 * 2 * 1
    else:  # 16 taps and the shortcuts at the size before.
        upsampling = 16 * 4 * 4 * 4 * 2 + 16 * 8 * 8 * 2 * 1
        shortcuts = 4 * 4 * 4 * 2 + 8 * 8 * 2 * 1
    convolutions = 9 * 8 * 8 * 2 * 2 + 9 * 16 * 16 * 1 * 1
    output = 9 * 16 * 16 * 1 * 3
    generator = Generator(16, num_classes, latent_dim=2, base_filters=1, resampling=form)
    assert multiply_accumulates(generator) == dense + upsampling + shortcuts + convolutions + output


@pytest.mark.parametrize(("form", "num_classes"), [("plain", None), ("merged", 7)])
def test_multiply_accumulates_of_a_small_discriminator_by_hand(form, num_classes):
    """16 pixels, 1 channel, 1 base filter: maps of 1, 2 and 4 channels at 8, 4 and 4."""
    first = 9 * 16 * 16 + (9 * 16 * 16 if form == "plain" else 16 * 8 * 8) + 8 * 8
    attention = 4 * 8 * 8 + 2 * (8 * 8) * (4 * 4)  # four 1x1 convolutions, scores, their use
    second = 9 * 8 * 8 * 2
    second += 9 * 8 * 8 * 4 + 8 * 8 * 2 if form == "plain" else 16 * 4 * 4 * 4 + 4 * 4 * 2
    third = 9 * 4 * 4 * 2 * 4 + 9 * 4 * 4 * 4 * 4 + 4 * 4 * 2 * 4
    logit = 4
    discriminator = Discriminator(
        16,
        num_classes,
        base_filters=1,
        channels=1,
        attention_resolutions=(8,),
        query_key_ratio=1,
        value_ratio=1,
        resampling=form,
    )
    assert multiply_accumulates(discriminator) == first + attention + second + third + logit


def test_parameters_by_hand():
    """Three convolutions of 2 channels, each block with a 1x1 shortcut, and a logit."""
    discriminator = Discriminator(16, None, base_filters=1, channels=1)
    discriminator.build()
    first = (9 + 1) + (9 + 1) + (1 + 1)
    second = (9 * 2 + 2) + (9 * 4 + 2) + (2 + 2)
    third = (9 * 8 + 4) + (9 * 16 + 4) + (8 + 4)
    assert parameters(discriminator) == first + second + third + (4 + 1)


def make_networks(**settings):
    settings = {"image_size": 16, "num_classes": 3, "base_filters": 4, "channels": 1, **settings}
    networks = Generator(latent_dim=8, **settings), Discriminator(**settings)
    for network in networks:
        network.build()
    return networks


def test_training_memory_by_its_parts():
    networks = make_networks()
    plain, averaged = (training_memory(*networks, ema=ema) for ema in (False, True))
    assert averaged(100) - plain(100) == 4 * parameters(networks[0])
    assert plain(100) == training_bytes(*networks, 100, ema=False)
    # The discriminator's first convolution alone keeps 16 x 16 x 4 floats of two images for each.
    assert plain(400) - plain(300) == plain(300) - plain(200) > 100 * 2 * 16 * 16 * 4 * 4
    # A small batch needs no less than generating images for the grid does.
    assert plain(1) == plain(2)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"resampling": "plain", "attention_resolutions": (8,), "query_key_ratio": 4},
        {"image_size": 64, "attention_resolutions": (32,), "query_key_ratio": 4, "pool_size": 1},
        {"image_size": 32, "base_filters": 16, "attention_resolutions": (), "num_classes": None},
    ],
)
def test_more_than_training_takes_without_tracing(settings):
    networks = make_networks(**settings)
    for batch_size in (64, 500):
        most = training_bytes_at_most(*networks, batch_size, ema=True)
        weights = PROGRAM_BYTES + 4 * (4 * parameters(networks[0]) + 3 * parameters(networks[1]))
        maps = training_bytes(*networks, batch_size, ema=True) - weights
        assert 1.2 * maps < most - weights < 3 * maps


def test_copies_of_real_images_need_half_as_much_again_where_the_discriminator_is_all():
    networks = make_networks()[0], make_networks(base_filters=32)[1]
    plain, copied = (training_memory(*networks, ema=False, copies=n) for n in (0, 1))
    per_image = [needed(2000) - needed(1000) for needed in (plain, copied)]
    assert 1.3 < per_image[1] / per_image[0] < 1.6
    most = [training_bytes_at_most(*networks, 1000, False, n) for n in (0, 1)]
    assert most[1] > most[0]
    assert most[1] > copied(1000)


def test_float32_convolutions_on_gpus_take_scratch_memory(monkeypatch):
    """An H200 took 8.0 GiB for 16 images of 128 pixels; without scratch memory it would be 5.2."""
    settings = {"image_size": 32, "base_filters": 32, "attention_resolutions": (16,)}
    networks = make_networks(**settings, query_key_ratio=4)
    bfloat16 = make_networks(**settings, query_key_ratio=4, dtype="mixed_bfloat16")

    def needed():
        functions = [training_memory(*pair, ema=False) for pair in (networks, bfloat16)]
        return [function(size) for function in functions for size in (1, 2048)]

    on_cpu = needed()
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["GPU:0"])
    on_gpu = needed()
    added = [gpu - cpu for gpu, cpu in zip(on_gpu, on_cpu, strict=True)]
    assert 0 < added[0] < on_cpu[0]  # no more than the maps themselves
    assert added[1:] == [SCRATCH_BYTES, 0, 0]
    assert training_bytes_at_most(*networks, 2048, ema=False) > on_gpu[1]


def test_training_memory_without_classes():
    assert training_bytes(*make_networks(num_classes=None), 8, ema=False) > 0


def test_chunks_of_queries_need_less_memory():
    """32 x 32 positions and 16 x 16 keys at 64 pixels: 1 MiB of scores for an image."""
    settings = {"image_size": 64, "attention_resolutions": (32,), "query_key_ratio": 4}
    plain, chunked = (
        training_bytes(*make_networks(**settings, query_chunk_size=size), 64, ema=False)
        for size in (None, 64)
    )
    assert plain - chunked > 64 * 2 * 2**20
