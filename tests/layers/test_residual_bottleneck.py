import keras
import numpy as np
import pytest
from keras import ops

from sagan_tf.layers import ResidualBottleneck2D, SelfAttention2D


def weights(layer):
    return sum(np.prod(variable.shape) for variable in layer.trainable_variables)


@pytest.mark.parametrize("channels", [32, 64, 128, 256, 512, 1024])
@pytest.mark.parametrize("value_ratio", [2, 8])
def test_has_as_many_weights_as_attention(channels, value_ratio):
    attention = SelfAttention2D(8, value_ratio)
    bottleneck = ResidualBottleneck2D(8, value_ratio)
    for layer in (attention, bottleneck):
        layer.build((None, 8, 8, channels))
    # One filter more or less is all that can be chosen.
    step = 2 * channels + 18 * bottleneck.filters
    assert abs(weights(bottleneck) - weights(attention)) <= 0.55 * step
    if value_ratio == 2:
        assert weights(bottleneck) == pytest.approx(weights(attention), rel=0.02)


def test_starts_as_the_identity_then_sees_its_neighbours_alone():
    layer = ResidualBottleneck2D()
    inputs = keras.random.normal((1, 9, 9, 16), seed=0)
    np.testing.assert_array_equal(layer(inputs), inputs)
    layer.gamma.assign(1.0)
    outputs = np.array(layer(inputs))
    changed = ops.convert_to_numpy(inputs).copy()
    changed[0, 4, 4] += 1
    moved = np.abs(np.array(layer(changed)) - outputs).max(axis=-1)[0] > 1e-6
    rows, columns = np.nonzero(moved)
    assert {*rows.tolist()} == {*columns.tolist()} == {3, 4, 5}


def test_equals_its_definition():
    layer = ResidualBottleneck2D()
    inputs = keras.random.normal((2, 5, 6, 16), seed=0)
    layer(inputs, training=True)
    layer.gamma.assign(0.7)
    hidden = inputs
    for part in (layer.reduction, layer.spatial, layer.expansion):
        kernel = part.kernel / part.singular_value()
        hidden = ops.conv(
            hidden if part is layer.reduction else ops.relu(hidden), kernel, 1, "same"
        )
    np.testing.assert_allclose(layer(inputs), inputs + 0.7 * hidden, rtol=1e-4, atol=1e-5)
