import shutil

import pytest
import tensorflow as tf

from sagan_tf.serving.exporting.lint import find_problems, read_meta_graph
from tests.support import toy_model


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    directory = tmp_path_factory.mktemp("toy") / "1"
    toy_model.write(directory)
    return directory


def test_every_problem_of_the_toy_model_is_found_and_no_other(toy):
    found = [problem.split(":")[0] for problem in find_problems(toy)]
    assert found == [
        "assets.extra/tf_serving_warmup_requests is missing",
        "Signature `half` has the output `half` of float16, which REST cannot carry",
        "Signature `scalar_out` has the output `total` without a batch axis of free length first",
        "Signature `statefulrng` draws from a random generator with a state (RandomStandardNormal)",
        "Signature `strs` has the output `same` of strings, which REST writes raw",
        "Signature `xla` is compiled by XLA (`jit_compile`), which TensorFlow Serving refuses by "
        "default.",
    ]


def test_python_functions_and_fixed_batches_are_found(tmp_path):
    module = tf.Module()

    def halved(x):
        return {"y": tf.reshape(tf.numpy_function(lambda value: value / 2, [x], x.dtype), (4,))}

    spec = tf.TensorSpec((4,), tf.float32, "x")
    signatures = {"other": tf.function(halved, input_signature=[spec])}
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=signatures)
    problems = " ".join(find_problems(tmp_path / "1"))
    assert "It has no signature `serving_default`" in problems
    assert "calls a Python function" in problems
    assert "has the input `x` without a batch axis" in problems
    assert "has the output `y` without a batch axis" in problems


def test_nested_xla_is_found(tmp_path):
    inner = tf.function(lambda x: x * 2, jit_compile=True)
    spec = tf.TensorSpec((None,), tf.float32, "x")
    outer = tf.function(lambda x: {"y": inner(x)}, input_signature=[spec])
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"), signatures={"serving_default": outer})
    assert any("compiled by XLA" in problem for problem in find_problems(tmp_path / "1"))


def test_missing_variables_are_found(toy, tmp_path):
    version = shutil.copytree(toy, tmp_path / "1")
    shutil.rmtree(version / "variables")
    assert "Its variables are missing: each call would fail." in find_problems(version)


def test_variables_that_are_not_restored_are_found(tmp_path):
    toy_model.write_unrestored(tmp_path / "1")
    assert (
        "Signature `serving_default` reads variables that the checkpoint does not restore, "
        "layer/bias, layer/kernel: each call would fail. Save Keras models by their method "
        "`export`."
    ) in find_problems(tmp_path / "1")


def test_a_damaged_model_is_named(toy, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes((toy / "saved_model.pb").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"saved_model.pb is damaged"):
        read_meta_graph(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds no graph tagged 'serve'"):
        read_meta_graph(tmp_path)
