"""Files of random weights for the Inception network, in both forms that are published."""

import numpy as np
import torch
from tensorflow import make_tensor_proto
from tensorflow.core.framework import graph_pb2

from sagan_tf.evaluation.inception_network import build_network, graph_scopes


def random_state(seed=0):
    """Weights by PyTorch's names and in its layout, under which activations keep their size."""
    rng = np.random.default_rng(seed)
    network = build_network()
    state = {}
    for name in graph_scopes():
        height, width, inputs, filters = network.get_layer(name).kernel.shape
        scale = np.sqrt(2 / (height * width * inputs))
        kernel = rng.standard_normal((filters, inputs, height, width), np.float32)
        state[f"{name}.conv.weight"] = kernel * np.float32(scale)
        state[f"{name}.bn.weight"] = rng.uniform(0.8, 1.2, filters)
        state[f"{name}.bn.bias"] = rng.normal(0, 0.1, filters)
        state[f"{name}.bn.running_mean"] = rng.normal(0, 0.1, filters)
        state[f"{name}.bn.running_var"] = rng.uniform(0.5, 1.5, filters)
    inputs, logits = network.get_layer("fc").kernel.shape
    state["fc.weight"] = rng.normal(0, 1 / np.sqrt(inputs), (logits, inputs))
    state["fc.bias"] = rng.normal(0, 0.1, logits)
    return {name: value.astype(np.float32) for name, value in state.items()}


def write_torch(path, state, zipped=False):
    """As pytorch-fid publishes it: in the older format, with the counters of batch norm."""
    tensors = {name: torch.from_numpy(value) for name, value in state.items()}
    for name in graph_scopes():
        tensors[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    return path


def write_graph(path, state):
    """A frozen graph with the weights among other constants, as `classify_image_graph_def.pb`."""
    endings = {
        ".conv.weight": "/conv2d_params",
        ".bn.weight": "/batchnorm/gamma",
        ".bn.bias": "/batchnorm/beta",
        ".bn.running_mean": "/batchnorm/moving_mean",
        ".bn.running_var": "/batchnorm/moving_variance",
    }
    graph = graph_pb2.GraphDef()

    def add(name, value):
        node = graph.node.add(name=name, op="Const")
        node.attr["value"].tensor.CopyFrom(make_tensor_proto(value))

    for name, scope in graph_scopes().items():
        for torch_ending, ending in endings.items():
            value = state[name + torch_ending]
            add(scope + ending, value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)
    add("softmax/weights", state["fc.weight"].T)
    add("softmax/biases", state["fc.bias"])
    add("pool_3/_reshape/shape", np.array([-1, 2048], np.int32))
    graph.node.add(name="Mul", op="Mul")
    path.write_bytes(graph.SerializeToString())
    return path
