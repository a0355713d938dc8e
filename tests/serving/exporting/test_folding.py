import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.layers import SelfAttention2D
from sagan_tf.models import Generator
from sagan_tf.serving.exporting.folding import FoldedGenerator
from tests.support.trained_generator import FORMS, inputs, trained


def class_rows(folded, labels, batch_size=4):
    return tf.gather(folded.table, tf.zeros(batch_size, tf.int32) if labels is None else labels)


@pytest.mark.parametrize("settings", FORMS, ids=str)
def test_gives_the_same_images(settings):
    generator = trained(**settings)
    latents, labels = inputs(generator)
    expected = generator(latents, labels).numpy()
    folded = FoldedGenerator(generator)
    images = folded.images(latents, class_rows(folded, labels)).numpy()
    assert expected.std() > 0.05
    np.testing.assert_allclose(images, expected, atol=1e-5)


def test_is_float32_whatever_the_policy():
    generator = trained(dtype="mixed_bfloat16", attention_resolutions=(16,))
    exact = Generator.from_config({**generator.get_config(), "dtype": "float32"})
    exact.build()
    exact.set_weights(generator.get_weights())
    latents, labels = inputs(generator)
    folded = FoldedGenerator(generator)
    images = folded.images(latents, class_rows(folded, labels))
    assert images.dtype == tf.float32
    np.testing.assert_allclose(images, exact(latents, labels), atol=1e-5)


def test_shows_the_scores_of_the_attention_layers():
    generator = trained(attention_resolutions=(8, 16))
    latents, labels = inputs(generator)
    folded = FoldedGenerator(generator)
    images, scores = folded.images_and_scores(latents, class_rows(folded, labels))
    np.testing.assert_allclose(images, generator(latents, labels), atol=1e-5)
    assert list(scores) == [8, 16]
    hidden = keras.ops.reshape(generator.dense(latents), (-1, 4, 4, generator.first_filters))
    for stage in generator.stages:
        if isinstance(stage, SelfAttention2D):
            size = hidden.shape[1]
            hidden, expected = stage(hidden, return_attention_scores=True)
            assert scores[size].shape == (4, size, size, size // 2, size // 2)
            np.testing.assert_allclose(scores[size], expected, atol=1e-5)
        else:
            hidden = stage(hidden, labels)


def test_rows_of_two_classes_blend_as_labels_do():
    generator = trained()
    latents, _ = inputs(generator)
    weights = np.zeros((4, 5), "float32")
    weights[:, 1], weights[:, 3] = 0.25, 0.75
    folded = FoldedGenerator(generator)
    rows = 0.25 * class_rows(folded, [1] * 4) + 0.75 * class_rows(folded, [3] * 4)
    np.testing.assert_allclose(folded.images(latents, rows), generator(latents, weights), atol=1e-5)


def test_later_training_does_not_reach_it():
    generator = trained()
    latents, labels = inputs(generator)
    folded = FoldedGenerator(generator)
    before = folded.images(latents, class_rows(folded, labels)).numpy()
    for variable in generator.trainable_variables:
        variable.assign(variable * 2)
    after = folded.images(latents, class_rows(folded, labels)).numpy()
    np.testing.assert_array_equal(before, after)
