import numpy as np
import pytest

from sagan_tf import sampling
from sagan_tf.attention import attention_maps
from sagan_tf.attention.figure import attention_figure
from sagan_tf.latent import drawing
from sagan_tf.models import Generator


def test_seeds_drawn_are_their_samples(monkeypatch):
    generator = sampling.load_generator("digits")
    seeds, labels = np.arange(5), np.array([1, 2, 3, 4, 5])
    monkeypatch.setattr(drawing, "BATCH_SIZE", 2)
    drawn = drawing.draw(generator, sampling.latents_from_seeds(seeds, 64).numpy(), labels)
    samples = np.stack(list(sampling.sample(generator, seeds, labels)))
    assert np.abs(drawn.astype(int) - samples).max() <= 1


def test_attention_is_that_of_the_finest_layer(monkeypatch):
    generator = Generator(
        32, 2, base_filters=4, latent_dim=8, query_key_ratio=4, attention_resolutions=(16, 8)
    )
    latents, labels = sampling.latents_from_seeds(range(3), 8).numpy(), np.array([0, 1, 1])
    monkeypatch.setattr(drawing, "BATCH_SIZE", 2)
    figures = drawing.draw_attention(generator, latents, labels, (12, 20))
    maps = attention_maps(generator, (latents, labels), points=[(12, 20)])
    image = sampling.to_uint8(generator(latents, labels))[2:]
    expected = attention_figure(
        image, np.array([[(12, 20)]]), maps["generator/attention_16x16"][2:]
    )
    assert figures.shape == (3, 128, 257, 3)
    assert np.abs(figures[2].astype(int) - expected).max() <= 1
    with pytest.raises(ValueError, match=r"must lie in the image.*Received: \(0, 32\)"):
        drawing.draw_attention(generator, latents, labels, (0, 32))
