"""Memory measured in processes of their own: attention in chunks, and against the estimate."""

import pytest

from sagan_tf import cost, peak_memory
from sagan_tf.models import Discriminator, Generator

# 16384 queries and 4096 keys: 1 GiB of scores for four images.
LARGE_MAPS = (4, 128, 128, 16)
CHUNK = 512


@pytest.mark.parametrize(("xla", "ratio"), [(False, 1 / 4), (True, 0.4)])
def test_attention_in_chunks_takes_a_part_of_the_memory(xla, ratio):
    plain, _ = peak_memory.measure(peak_memory.attend, LARGE_MAPS, None, xla, 1)
    chunked, _ = peak_memory.measure(peak_memory.attend, LARGE_MAPS, CHUNK, xla, 1)
    assert plain > 2 * 2**30  # Scores and their gradient at least.
    assert chunked < ratio * plain


@pytest.mark.parametrize(
    ("settings", "batch_size"),
    [
        ({"image_size": 32, "base_filters": 32, "attention_resolutions": (16,)}, 32),
        (
            {
                "image_size": 64,
                "base_filters": 16,
                "attention_resolutions": (32,),
                "query_chunk_size": 128,
            },
            32,
        ),
    ],
    ids=["32 pixels", "64 pixels in chunks"],
)
def test_estimate_is_near_what_training_takes(settings, batch_size):
    settings["num_classes"] = 10
    measured, _ = peak_memory.measure(peak_memory.train, settings, batch_size)
    networks = Generator(**settings), Discriminator(**settings)
    for network in networks:
        network.build()
    estimated = cost.training_bytes(*networks, batch_size, ema=False)
    assert 0.75 * measured < estimated < 1.25 * measured
