"""What every layer and model of the package must do; `descriptors.py` lists them."""

import doctest
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import sagan_tf.layers
from sagan_tf.models import Discriminator, Generator
from tests.conformance.descriptors import BATCH_SIZE, DESCRIPTORS

PUBLIC = [*(getattr(sagan_tf.layers, name) for name in sagan_tf.layers.__all__)]
PUBLIC += [Generator, Discriminator]

every = pytest.mark.parametrize("descriptor", DESCRIPTORS, ids=lambda descriptor: descriptor.name)
# Keras copies its variables into the file in a way that NumPy 2 deprecates.
saves = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def values(variables):
    return [variable.numpy() for variable in variables]


def assert_unchanged(now, then):
    for ours, expected in zip(now, then, strict=True):
        np.testing.assert_array_equal(ours, expected)


def assert_close(ours, expected):
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def make_app(layer, descriptor):
    """A functional model around the layer, as a user would build one."""
    inputs = descriptor.symbolic_inputs()
    return keras.Model(inputs, keras.layers.Rescaling(2.0)(layer(*inputs)))


def signature_of(descriptor, batch_size=None):
    return [
        tf.TensorSpec((batch_size,), "int32")
        if shape is None
        else tf.TensorSpec((batch_size, *shape))
        for shape in descriptor.shapes
    ]


def test_table_lists_everything_public():
    assert {type(descriptor.make()) for descriptor in DESCRIPTORS} == set(PUBLIC)


def constructor_arguments(cls):
    """Those that the package's own constructors name, the parents' too."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith("sagan_tf")]
    return {
        name
        for base in ours
        for name, parameter in inspect.signature(base.__init__).parameters.items()
        if name != "self"
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


@every
def test_config_holds_every_argument(descriptor):
    layer = descriptor.make()
    arguments = constructor_arguments(type(layer))
    assert arguments
    assert arguments <= set(layer.get_config())


@every
def test_config_makes_the_same_layer(descriptor):
    layer, inputs = descriptor.make_trained(), descriptor.inputs()
    config = layer.get_config()
    copy = type(layer).from_config(config)
    copy(*inputs)
    assert copy.get_config() == config
    copy.set_weights(layer.get_weights())
    for training in (False, True):
        assert_unchanged([copy(*inputs, training=training)], [layer(*inputs, training=training)])


@every
@saves
def test_functional_app_survives_saving(descriptor, tmp_path):
    layer, inputs = descriptor.make_trained(), descriptor.inputs()
    app = make_app(layer, descriptor)
    expected = app(list(inputs)).numpy()
    assert app.output_shape == (None, *expected.shape[1:])
    np.testing.assert_allclose(expected, 2 * layer(*inputs).numpy(), rtol=1e-6)
    app.save(tmp_path / "app.keras")
    keras.utils.set_random_seed(2)  # What is not loaded would be drawn anew.
    loaded = keras.models.load_model(tmp_path / "app.keras")
    np.testing.assert_array_equal(loaded(list(inputs)), expected)
    assert_unchanged(values(loaded.variables), values(app.variables))


@every
def test_saved_model_answers_alike_and_writes_no_state(descriptor, tmp_path):
    layer = descriptor.make_trained()
    app = make_app(layer, descriptor)
    before = values(app.variables)
    app.export(tmp_path / "app", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "app"))
    for batch_size in (BATCH_SIZE, 1):
        inputs = descriptor.inputs(batch_size)
        answer = loaded.serve([tf.constant(tensor) for tensor in inputs])
        assert_close(answer.numpy(), app(list(inputs)).numpy())
    assert_unchanged(values(app.variables), before)
    function = loaded.signatures["serving_default"]
    operations = [operation for node in function.graph.as_graph_def().library.function
                  for operation in node.node_def]  # fmt: skip
    assert operations
    assert not [node.op for node in operations if node.op.startswith("Assign")]


@every
def test_two_replicas_train_alike(descriptor, two_replicas):
    with two_replicas.scope():
        layer = descriptor.make_trained()
        optimizer = keras.optimizers.SGD(0.01)
        optimizer.build(layer.trainable_variables)
    before = values(layer.variables)

    def train(*inputs):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(*inputs, training=True) ** 2)
        variables = layer.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    parts = [
        two_replicas.experimental_distribute_values_from_function(
            lambda context, tensor=tensor: tf.constant(
                np.array_split(tensor, 2)[context.replica_id_in_sync_group]
            )
        )
        for tensor in descriptor.inputs()
    ]
    losses = tf.function(two_replicas.run)(train, parts).values
    assert float(losses[0]) != float(losses[1])
    for variable, then in zip(layer.variables, before, strict=True):
        first, second = (value.numpy() for value in variable.value.values)
        agree = not (descriptor.own_state and "moving" in variable.path)
        assert np.array_equal(first, second) == agree, variable.path
        if variable.trainable:
            assert not np.array_equal(first, then), variable.path


@every
def test_mixed_precision(descriptor):
    layer = descriptor.make_trained(dtype="mixed_bfloat16")
    before = values(layer.trainable_variables)
    outputs = layer(*descriptor.inputs(), training=True)
    assert outputs.dtype == descriptor.output_dtype
    assert {variable.dtype for variable in layer.variables} == {"float32"}
    assert_unchanged(values(layer.trainable_variables), before)
    symbolic = layer(*descriptor.symbolic_inputs())
    assert symbolic.dtype == descriptor.output_dtype


@every
def test_xla_computes_the_same_outputs_and_gradients(descriptor):
    layer = descriptor.make_trained()
    inputs, state = descriptor.inputs(), layer.get_weights()

    def forward_and_gradients(*inputs):
        with tf.GradientTape() as tape:
            outputs = layer(*inputs, training=True)
            weights = np.random.default_rng(2).normal(size=outputs.shape).astype("float32")
            loss = tf.reduce_sum(outputs * weights)
        variables = [variable.value for variable in layer.trainable_variables]
        return outputs, *tape.gradient(loss, variables)

    expected = forward_and_gradients(*inputs), values(layer.non_trainable_variables)
    layer.set_weights(state)
    compiled = tf.function(forward_and_gradients, jit_compile=True)
    results = compiled(*inputs), values(layer.non_trainable_variables)
    for ours, theirs in zip(results, expected, strict=True):
        largest = max((np.abs(tensor).max() for tensor in theirs), default=0)  # not all have state
        for tensor, reference in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(tensor, reference, rtol=0, atol=1e-5 * largest)


@every
def test_one_trace_serves_every_batch_size(descriptor):
    layer = descriptor.make_trained()
    traced = tf.function(lambda *inputs: layer(*inputs), input_signature=signature_of(descriptor))
    for batch_size in (1, 3):
        inputs = descriptor.inputs(batch_size)
        assert_close(traced(*inputs).numpy(), layer(*inputs).numpy())
    assert traced.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_example_in_the_docstring_prints_what_it_says(cls):
    names = {"keras": keras, **{public.__name__: public for public in PUBLIC}}
    (example,) = doctest.DocTestFinder(recurse=False).find(cls, cls.__name__, globs=names)
    assert example.examples
    results = doctest.DocTestRunner().run(example)
    assert results.failed == 0
