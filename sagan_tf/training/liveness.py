"""Estimates the peak memory of a traced function's tensors without running it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sagan_tf.machine.processors import num_cores

# Functions are traced with this many images. It is a prime, so that a tensor grows with the batch
# if and only if it divides the tensor's size.
TRACED_BATCH = 7919

# TensorFlow runs up to this many iterations of a loop in parallel if there are enough processors.
PARALLEL_ITERATIONS = min(10, num_cores())

_VIEWS = set("ExpandDims Identity IdentityN PreventGradient Reshape Squeeze StopGradient".split())
# Operations whose result reuses the memory of an input of equal size that nothing else needs.
_IN_PLACE = set(
    "AddN AddV2 BiasAdd Cast Maximum Mul Neg RealDiv Relu ReluGrad Rsqrt Softmax Square Sub Tanh "
    "TanhGrad".split()
)
# Variables and constants are in memory anyway; a resource or a tensor list has no size of its own.
_FREE = set("Const ReadVariableOp".split())


def live_bytes(graph: Any) -> Callable[[int], int]:
    """Peak bytes of tensors that are alive at the same time, as a function of the batch size.

    The operations are taken in the order in which they were traced. A tensor lives from the
    operation that makes it to the last operation that uses it; the graph's outputs stay alive.

    Args:
        graph: graph of a function traced with `TRACED_BATCH` images.
    """
    operations = graph.get_operations()
    buffers = _buffers(operations)
    last_use = {
        buffers[tensor.name]: index
        for index, operation in enumerate(operations)
        for tensor in (*operation.inputs, *operation.outputs)
    }
    last_use |= {buffers[tensor.name]: len(operations) for tensor in graph.outputs}
    sizes: dict[str, np.ndarray] = {}
    # Bytes (fixed, per image) that each operation allocates and frees.
    made, freed = np.zeros((2, len(operations) + 1, 2))
    loops = {}
    for index, operation in enumerate(operations):
        for tensor in operation.outputs:
            if buffers[tensor.name] == tensor.name:
                sizes[tensor.name] = size = _size(tensor)
                made[index] += size
                freed[last_use[tensor.name]] += size
        reused = _reused(operation, buffers, sizes, last_use, index)
        made[index] -= reused
        freed[index] -= reused
        if operation.type in ("While", "StatelessWhile"):
            body = graph._get_function(operation.get_attr("body").name).graph
            loops[index] = live_bytes(body)

    def most(batch_size: int) -> int:
        come, gone = (change @ [1, batch_size] for change in (made, freed))
        live = np.cumsum(come) - np.cumsum(gone) + gone
        for index, body in loops.items():
            live[index] += PARALLEL_ITERATIONS * body(batch_size)
        return int(live.max())

    return most


def _buffers(operations: list[Any]) -> dict[str, str]:
    """Maps each tensor's name to the tensor that owns its memory: itself, except for views."""
    buffers: dict[str, str] = {}
    for operation in operations:
        for index, tensor in enumerate(operation.outputs):
            is_view = operation.type in _VIEWS
            buffers[tensor.name] = buffers[operation.inputs[index].name] if is_view else tensor.name
    return buffers


def _size(tensor: Any) -> np.ndarray:
    """Bytes that a tensor takes whatever the batch size, and bytes per image."""
    elements = tensor.shape.num_elements()
    if tensor.op.type in _FREE or elements is None or not tensor.dtype.is_numpy_compatible:
        return np.zeros(2)
    number_of_bytes = elements * tensor.dtype.size
    if number_of_bytes % TRACED_BATCH:
        return np.array([number_of_bytes, 0])
    return np.array([0, number_of_bytes // TRACED_BATCH])


def _reused(
    operation: Any,
    buffers: dict[str, str],
    sizes: dict[str, np.ndarray],
    last_use: dict[str, int],
    index: int,
) -> np.ndarray:
    """Bytes of an input's memory that an operation's output reuses."""
    if operation.type in _IN_PLACE:
        size = sizes[operation.outputs[0].name]
        inputs = (buffers[tensor.name] for tensor in operation.inputs)
        if any(last_use[name] == index and np.array_equal(sizes[name], size) for name in inputs):
            return size
    return np.zeros(2)
