"""Finds problems that keep a SavedModel from being served well, from its files alone."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import function_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from sagan_tf.serving.exporting.warmup import WARM_UP_PATH

# They draw other numbers at each call, whatever the seed; stateless operations do not.
RANDOM_OPERATIONS = frozenset(
    "Multinomial ParameterizedTruncatedNormal RandomGamma RandomPoisson RandomPoissonV2 "
    "RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt RngReadAndSkip RngSkip "
    "StatefulRandomBinomial StatefulStandardNormal StatefulStandardNormalV2 "
    "StatefulTruncatedNormal StatefulUniform StatefulUniformFullInt StatefulUniformInt "
    "TruncatedNormal".split()
)
# They need the Python process that made them.
PYTHON_OPERATIONS = frozenset({"EagerPyFunc", "NumpyFunction", "PyFunc", "PyFuncStateless"})
# JSON has no text for them.
UNWRITABLE_DTYPES = frozenset({tf.float16, tf.bfloat16, tf.complex64, tf.complex128})
XLA_ATTRIBUTE = "_XlaMustCompile"
INIT_SIGNATURE = "__saved_model_init_op"


def read_meta_graph(directory: str | os.PathLike) -> meta_graph_pb2.MetaGraphDef:
    """Reads the graph of a SavedModel that is served.

    Args:
        directory: directory of a version, which holds `saved_model.pb`.

    Raises:
        ValueError: if the file does not exist or is damaged, or if no graph is tagged to be served.
    """
    path = Path(directory) / "saved_model.pb"
    if not path.is_file():
        raise ValueError(
            f"{directory} holds no SavedModel: {path.name} does not exist there. "
            "Name a version's directory, as in exports/sagan/1."
        )
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except DecodeError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    for meta_graph in saved_model.meta_graphs:
        if tf.saved_model.SERVING in meta_graph.meta_info_def.tags:
            return meta_graph
    raise ValueError(f"{path} holds no graph tagged {tf.saved_model.SERVING!r}.")


def find_problems(directory: str | os.PathLike) -> list[str]:
    """Returns a sentence for each problem that TensorFlow Serving would have with a SavedModel.

    Args:
        directory: directory of a version, which holds `saved_model.pb`.

    Raises:
        ValueError: as `read_meta_graph`.
    """
    meta_graph = read_meta_graph(directory)
    problems = []
    if not (Path(directory) / "variables" / "variables.index").is_file():
        problems.append("Its variables are missing: each call would fail.")
    if not (Path(directory) / WARM_UP_PATH).is_file():
        problems.append(
            f"{WARM_UP_PATH} is missing: the first calls are slow, and a model that cannot run "
            "is served all the same."
        )
    if INIT_SIGNATURE in meta_graph.signature_def:
        del meta_graph.signature_def[INIT_SIGNATURE]
    if tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY not in meta_graph.signature_def:
        problems.append("It has no signature `serving_default`: each call must name one.")
    for name, signature in sorted(meta_graph.signature_def.items()):
        found = [*_problems_of_tensors(signature), *_problems_of_graph(meta_graph, name)]
        problems += [f"Signature `{name}` {problem}" for problem in found]
    return problems


def _problems_of_tensors(signature: meta_graph_pb2.SignatureDef) -> Iterator[str]:
    for kind, tensors in (("input", signature.inputs), ("output", signature.outputs)):
        for name, tensor in sorted(tensors.items()):
            shape = tensor.tensor_shape
            if shape.unknown_rank or not shape.dim or shape.dim[0].size != -1:
                yield (
                    f"has the {kind} `{name}` without a batch axis of free length first: rows "
                    "cannot be joined or distinguished."
                )
            dtype = tf.as_dtype(tensor.dtype)
            if dtype in UNWRITABLE_DTYPES:
                yield f"has the {kind} `{name}` of {dtype.name}, which REST cannot carry: cast it."
            if kind == "output" and dtype == tf.string and not name.endswith("_bytes"):
                yield (
                    f"has the output `{name}` of strings, which REST writes raw: let its name end "
                    "in `_bytes` to have them as base64."
                )


def _problems_of_graph(meta_graph: meta_graph_pb2.MetaGraphDef, name: str) -> Iterator[str]:
    if compiled_by_xla(meta_graph, name):
        yield "is compiled by XLA (`jit_compile`), which TensorFlow Serving refuses by default."
    if missing := unrestored(meta_graph, name):
        yield (
            f"reads variables that the checkpoint does not restore, {', '.join(missing)}: each "
            "call would fail. Save Keras models by their method `export`."
        )
    operations = {node.op for node in _nodes(meta_graph, name)}
    for operation in sorted(operations & RANDOM_OPERATIONS):
        yield f"draws from a random generator with a state ({operation}): equal calls differ."
    for operation in sorted(operations & PYTHON_OPERATIONS):
        yield f"calls a Python function ({operation}), which a server does not have."


def compiled_by_xla(meta_graph: meta_graph_pb2.MetaGraphDef, name: str) -> bool:
    """Returns whether a signature runs anything that must be compiled by XLA."""
    functions = _functions(meta_graph)
    for node in _nodes(meta_graph, name):
        called = [functions[function].attr for function in _called(node) if function in functions]
        for attributes in (node.attr, *called):
            if XLA_ATTRIBUTE in attributes and attributes[XLA_ATTRIBUTE].b:
                return True
    return False


def unrestored(meta_graph: meta_graph_pb2.MetaGraphDef, name: str) -> list[str]:
    """Returns the variables that a signature reads and that get no value from the checkpoint."""
    operations = [meta_graph.saver_def.restore_op_name]
    if INIT_SIGNATURE in meta_graph.signature_def:
        operations += _outputs(meta_graph, INIT_SIGNATURE)
    read = _variables_before(meta_graph, _outputs(meta_graph, name))
    return sorted(read - _variables_before(meta_graph, operations))


def _variables_before(
    meta_graph: meta_graph_pb2.MetaGraphDef, operations: Iterable[str]
) -> set[str]:
    found = _nodes_before(meta_graph, operations)
    return {node.name for node in found if node.op == "VarHandleOp"}


def _outputs(meta_graph: meta_graph_pb2.MetaGraphDef, name: str) -> list[str]:
    return [output.name for output in meta_graph.signature_def[name].outputs.values()]


def _nodes_before(
    meta_graph: meta_graph_pb2.MetaGraphDef, operations: Iterable[str]
) -> Iterator[node_def_pb2.NodeDef]:
    """Yields the nodes that the operations may run, themselves included."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    waiting = [_node_name(operation) for operation in operations]
    seen = set()
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in seen:
            seen.add(name)
            yield nodes[name]
            waiting += [_node_name(input_name) for input_name in nodes[name].input]


def _nodes(meta_graph: meta_graph_pb2.MetaGraphDef, name: str) -> Iterator[node_def_pb2.NodeDef]:
    """Yields every node that a signature may run, including those of functions that it calls."""
    functions = _functions(meta_graph)
    called: list[str] = []
    for node in _nodes_before(meta_graph, _outputs(meta_graph, name)):
        yield node
        called += _called(node)
    seen = set()
    while called:
        name = called.pop()
        if name in functions and name not in seen:
            seen.add(name)
            for node in functions[name].node_def:
                yield node
                called += _called(node)


def _functions(
    meta_graph: meta_graph_pb2.MetaGraphDef,
) -> dict[str, function_pb2.FunctionDef]:
    library = meta_graph.graph_def.library
    return {function.signature.name: function for function in library.function}


def _called(node: node_def_pb2.NodeDef) -> list[str]:
    """Returns names of the functions in a node's attributes."""
    called = []
    for value in node.attr.values():
        if value.WhichOneof("value") == "func":
            called.append(value.func.name)
        called += [function.name for function in value.list.func]
    return called


def _node_name(reference: str) -> str:
    """Returns `node` for `node`, `node:0` and `^node`."""
    return reference.removeprefix("^").split(":")[0]
