import pytest
import tensorflow as tf

from sagan_tf.training.liveness import PARALLEL_ITERATIONS, TRACED_BATCH, live_bytes

FEATURES = 100  # float32: 400 bytes per image


def most(function, batch_size=3):
    """Bytes of a function of `(N, FEATURES)`."""
    traced = tf.function(function)
    graph = traced.get_concrete_function(tf.TensorSpec((TRACED_BATCH, FEATURES))).graph
    return live_bytes(graph)(batch_size)


def gradient(function):
    def gradient_of(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(inputs)
        return tape.gradient(outputs, inputs)

    return gradient_of


@pytest.mark.parametrize(
    ("function", "tensors"),
    [
        (lambda x: x, 1),
        (lambda x: tf.reshape(tf.identity(x), (-1, 10, 10)), 1),  # views
        (lambda x: tf.nn.relu(x), 1),  # in place: nothing else needs the input
        (lambda x: tf.nn.relu(x) + x, 2),  # something does
        (lambda x: tf.cumsum(x), 2),  # not in place
        (lambda x: tf.cumsum(tf.cumsum(tf.cumsum(x))), 2),  # the first is free again
        (lambda x: (tf.cumsum(x), tf.cumsum(x), x), 3),  # outputs stay
        (lambda x: tf.concat([x, x], 0), 3),  # twice the batch
    ],
)
def test_tensors_alive_at_a_time(function, tensors):
    for batch_size in (3, 64):
        assert most(function, batch_size) == tensors * batch_size * FEATURES * 4


def test_what_a_batch_shares_does_not_grow_with_it():
    def function(inputs):
        return inputs, tf.cumsum(tf.fill((5, 5), tf.reduce_sum(inputs)))

    assert most(function, 20) - most(function, 10) == 10 * FEATURES * 4


def test_gradients_keep_activations():
    """Of two layers of tanh, whose results are all that their gradients need."""
    two = most(gradient(lambda x: tf.tanh(tf.tanh(x))))
    three = most(gradient(lambda x: tf.tanh(tf.tanh(tf.tanh(x)))))
    assert three - two == 3 * FEATURES * 4


def test_a_loop_needs_what_its_iterations_do():
    def looped(inputs):
        return tf.map_fn(lambda row: tf.reduce_sum(tf.cumsum(tf.fill((1000,), row[0]))), inputs)

    assert most(looped) >= PARALLEL_ITERATIONS * 2 * 1000 * 4
