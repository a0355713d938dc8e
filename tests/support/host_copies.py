"""The copies from a GPU to the host in the loops of a traced function, found without a GPU.

TensorFlow's registry says for each operation whether it has a kernel for GPUs, and which of its
inputs and outputs that kernel keeps in host memory. Such a copy waits until the GPU has done all
that it was told to do before, so one in every step keeps the host from running ahead.
"""

import functools

from tensorflow.python.framework import kernels, op_def_registry

# They run other functions, which decide where their inputs are needed.
_CALLS = ("StatefulPartitionedCall", "PartitionedCall", "If", "StatelessIf", "While")


def copies_in_loops(function):
    """Pairs (operation that computes on the GPU, operation that reads it on the host).

    Args:
        function: a concrete function; the bodies of its loops are looked at.
    """
    graph = function.graph.as_graph_def()
    library = {item.signature.name: item for item in graph.library.function}
    bodies = [
        node.attr["body"].func.name
        for nodes in (graph.node, *(item.node_def for item in library.values()))
        for node in nodes
        if node.op in ("While", "StatelessWhile")
    ]
    return [pair for body in bodies for pair in _copies(library[body], library)]


def _copies(function, library):
    """Copies inside a function of the library, and inside those that it calls."""
    nodes = {node.name: node for node in function.node_def}
    constants = _constants(nodes)
    found = []
    for node in nodes.values():
        for attribute in node.attr.values():
            called = library.get(attribute.func.name)
            if called is not None:
                found += _copies(called, library)
        for argument, sources in _inputs(node):
            for source in sources:
                producer, _, output = source.partition(":")
                if producer not in nodes or producer in constants or not _on_host(node, argument):
                    continue
                producer = nodes[producer]
                if not _on_host(producer, output.partition(":")[0]):
                    found.append((f"{producer.op} {producer.name}", f"{node.op} {node.name}"))
    return found


def _constants(nodes):
    """Names of the nodes that depend on constants alone: TensorFlow computes them once, before."""
    constants = set()
    for name, node in nodes.items():  # in an order in which they can be computed
        sources = [source.partition(":")[0] for source in node.input if source[0] != "^"]
        if node.op == "Const" or (sources and constants.issuperset(sources)):
            constants.add(name)
    return constants


def _inputs(node):
    """Pairs of each argument's name and the outputs given for it."""
    sources = [source for source in node.input if not source.startswith("^")]
    for argument in _definition(node.op).input_arg:
        count = _length(node, argument)
        yield argument.name, sources[:count]
        sources = sources[count:]


def _length(node, argument):
    if argument.number_attr:
        return node.attr[argument.number_attr].i
    if argument.type_list_attr:
        return len(node.attr[argument.type_list_attr].list.type)
    return 1


def _on_host(node, argument):
    """Whether an operation's input or output of this name is in host memory."""
    if node.op in _CALLS:
        return argument == "cond"
    if node.device.endswith("CPU:0"):
        return True
    matching = [kernel for kernel in _kernels(node.op) if _fits(kernel, node)]
    for device in ("GPU", "DEFAULT"):
        for kernel in matching:
            if kernel.device_type == device:
                return argument in kernel.host_memory_arg
    return True


def _fits(kernel, node):
    return all(
        node.attr[constraint.name].type in constraint.allowed_values.list.type
        for constraint in kernel.constraint
    )


@functools.cache
def _kernels(name):
    return list(kernels.get_registered_kernels_for_op(name).kernel)


@functools.cache
def _definition(name):
    return op_def_registry.get(name)
