import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.training.fused_adam import FusedAdam
from tests.support.small_sagan import assert_close

SHAPES = ((3, 3, 4, 8), (8,), ())


def trained(make, steps=20, learning_rate=1e-2, **kwargs):
    """Variables and moments after some steps on fixed gradients, of very different sizes."""
    rng = np.random.default_rng(0)
    variables = [
        keras.Variable(rng.normal(size=shape).astype("float32"), name=f"variable_{len(shape)}")
        for shape in SHAPES
    ]
    optimizer = make(learning_rate, name="adam", **kwargs)
    optimizer.build(variables)
    for _ in range(steps):
        gradients = [
            tf.constant(10.0 ** rng.integers(-6, 3) * rng.normal(size=shape), tf.float32)
            for shape in SHAPES
        ]
        optimizer.apply(gradients, variables)
    return variables, optimizer.variables


FALLING = keras.optimizers.schedules.CosineDecay(1e-2, 30)


# The kernel rounds beta before it takes it from 1, as TensorFlow 1's Adam did: 1 - float32(0.999)
# is 1.3e-5 below 0.001.
@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({"beta_1": 0.0, "beta_2": 0.9, "epsilon": 1e-8}, 1e-6),
        ({"beta_1": 0.5, "beta_2": 0.75, "learning_rate": FALLING}, 1e-6),
        ({"beta_1": 0.9, "beta_2": 0.999}, 2e-5),
    ],
    ids=["published", "falling rate", "Keras' defaults"],
)
def test_computes_what_keras_does(settings, tolerance):
    ours, expected = (trained(make, **settings) for make in (FusedAdam, keras.optimizers.Adam))
    for group, expected_group in zip(ours, expected, strict=True):
        assert [v.path for v in group] == [v.path for v in expected_group]
        for variable, other in zip(group, expected_group, strict=True):
            assert_close(variable, other, tolerance)


def test_first_step_by_hand():
    variable = keras.Variable([1.0, -2.0])
    optimizer = FusedAdam(0.1, beta_1=0.0, beta_2=0.9, epsilon=0.0)
    optimizer.apply([tf.constant([5.0, -3.0])], [variable])
    # m / sqrt(v) is the gradient's sign, once v's start at 0 is corrected.
    np.testing.assert_allclose(variable.numpy(), [0.9, -1.9], rtol=1e-6)
    np.testing.assert_allclose(optimizer.variables[3].numpy(), [2.5, 0.9], rtol=1e-6)  # v


def test_two_replicas_stay_equal_and_compute_what_one_does(two_replicas):
    def gradients_of(replica):
        return [tf.constant([1.0, 4.0]) * (replica + 1)]

    with two_replicas.scope():
        variable = keras.Variable([0.0, 0.0])
        optimizer = FusedAdam(0.1, beta_2=0.5)
        optimizer.build([variable])

    @tf.function
    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        optimizer.apply(gradients_of(tf.cast(replica, tf.float32)), [variable])

    single = keras.Variable([0.0, 0.0])
    other = FusedAdam(0.1, beta_2=0.5)
    for _ in range(3):
        two_replicas.run(step)
        other.apply([tf.constant([3.0, 12.0])], [single])  # 1 and 2 times the gradient, summed
    first, second = (value.numpy() for value in variable.value.values)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, single.numpy(), rtol=1e-6)


def test_operations_per_variable():
    def operations(make):
        variable = keras.Variable(tf.zeros(3))
        optimizer = make(1e-3)
        optimizer.build([variable])
        function = tf.function(lambda gradient: optimizer.apply([gradient], [variable]))
        graph = function.get_concrete_function(tf.TensorSpec([3])).graph
        return len(graph.get_operations())

    assert operations(FusedAdam) < operations(keras.optimizers.Adam) - 10


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match=r"`amsgrad` needs keras.optimizers.Adam"):
        FusedAdam(1e-3, amsgrad=True)
