import pytest
import tensorflow as tf

from tests.support.small_sagan import IMAGES, LABELS


@pytest.fixture(scope="module")
def data():
    return tf.constant(IMAGES), tf.constant(LABELS, tf.int32)
