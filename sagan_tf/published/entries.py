"""Copies the entries of a published state, one by one, into the variables of our layers."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from sagan_tf.layers import ConditionalBatchNormalization, SelfAttention2D
from sagan_tf.published.projects import Source


class Entries:
    """The entries of a state, each of which must be taken once, and a record of misfits.

    Args:
        network: name of the network, "generator", "generator_ema" or "discriminator".
        entries: arrays by name.
        source: the project that published them.
    """

    def __init__(self, network: str, entries: Mapping[str, Any], source: Source) -> None:
        self.names = source.names
        self.stages = source.stages(
            entries, source.first_stage if network == "discriminator" else None
        )
        self._network = network
        self._source = source
        self._left = dict(entries)
        self._misfits: list[str] = []

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An entry as float64; ones if it does not fit, which `finish` reports."""
        value = self._left.pop(name, None)
        if isinstance(value, np.ndarray) and value.shape == tuple(shape):
            return value.astype("float64")
        found = "missing" if value is None else f"of shape {getattr(value, 'shape', None)}"
        self._misfits.append(f"{name} {tuple(shape)} is {found}")
        return np.ones(shape)

    def finish(self) -> None:
        """Raises `ValueError` if an entry did not fit or is left over."""
        misfits = self._misfits + [f"{name} has no place" for name in self._left]
        if misfits:
            raise ValueError(
                f"{len(misfits)} entries of the {self._network} do not fit a SAGAN of this source: "
                + "; ".join(misfits[:20])
                + (" ..." if len(misfits) > 20 else "")
            )

    def fill_spectral(
        self,
        name: str,
        layer: keras.layers.Layer,
        outputs: Any = slice(None),
        inputs: Any = slice(None),
    ) -> None:
        """Fills a dense layer, convolution or embedding with its weight, vectors and bias.

        Args:
            name: name of the layer in the state.
            layer: layer of this package to fill.
            outputs: indices of the state's outputs, in the order of the layer's.
            inputs: indices of the state's inputs, in the order of the layer's.
        """
        if hasattr(layer, "embeddings"):  # the rows of a table are its outputs in both projects
            weight, order = layer.embeddings, (0, 1)
            shape = tuple(weight.shape)
        else:  # PyTorch's axes begin with (out, in); Keras' axes end with (in, out).
            weight = layer.kernel
            *window, channels_in, channels_out = weight.shape
            order = (*range(2, 2 + len(window)), 1, 0)
            shape = (channels_out, channels_in, *window)
        value, left, right = self._weight_and_vectors(name, shape)
        weight.assign(_float32(value[outputs][:, inputs].transpose(order)))
        # The vector is transposed like a kernel with a single output.
        right = right.reshape(1, *shape[1:])[:, inputs]
        layer.vector_u.assign(_float32(left[np.newaxis, outputs]))
        layer.vector_v.assign(_float32(right.transpose(order).reshape(-1, 1)))
        if getattr(layer, "use_bias", False):
            layer.bias.assign(_float32(self.take(f"{name}.bias", (shape[0],))[outputs]))

    def fill_norm(self, name: str, layer: ConditionalBatchNormalization) -> None:
        """Fills a batch norm with moving statistics, and with class tables or scale and offset."""
        channels = layer.moving_mean.shape
        statistics = name
        if layer.num_classes is None:
            gamma = self.take(f"{name}.weight", channels)[np.newaxis]
            beta = self.take(f"{name}.bias", channels)[np.newaxis]
        else:
            statistics = f"{name}.{self._source.statistics}"
            tables = [
                table
                for table in self._source.tables
                if any(key.startswith(f"{name}.{table[0]}.") for key in self._left)
            ]
            scale, offset, transposed = (*tables, self._source.tables[-1])[0]
            gamma = 1 + self._table(f"{name}.{scale}", layer, transposed)
            beta = self._table(f"{name}.{offset}", layer, transposed)
        layer.gamma.assign(_float32(gamma))
        layer.beta.assign(_float32(beta))
        layer.moving_mean.assign(_float32(self.take(f"{statistics}.running_mean", channels)))
        layer.moving_variance.assign(_float32(self.take(f"{statistics}.running_var", channels)))
        self.take(f"{statistics}.num_batches_tracked", ())

    def fill_attention(self, name: str, layer: SelfAttention2D) -> None:
        """Fills a self-attention layer."""
        for part, convolution in {
            "query": layer.query,
            "key": layer.key,
            "value": layer.value,
            "output": layer.output_convolution,
        }.items():
            self.fill_spectral(f"{name}.{self.names[part]}", convolution)
        gate = self.take(f"{name}.{self.names['gamma']}", self._source.gate_shape)
        layer.gamma.assign(_float32(gate.reshape(())))

    def _table(
        self, name: str, layer: ConditionalBatchNormalization, transposed: bool
    ) -> np.ndarray:
        """A class table `(num_classes, C)`, divided by its spectral norm if there is one."""
        shape = tuple(layer.gamma.shape)
        shape = shape[::-1] if transposed else shape
        if f"{name}.weight" in self._left and f"{name}.u0" not in self._left:
            table = self.take(f"{name}.weight", shape)
        else:
            table, _, right = self._weight_and_vectors(name, shape)
            table = table / np.linalg.norm(table @ right)
        return table.T if transposed else table

    def _weight_and_vectors(
        self, name: str, shape: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A weight `(rows, ...)`, and vectors `(rows,)` and `(columns,)`; the norm is |W right|."""
        rows, columns = shape[0], math.prod(shape[1:])
        if f"{name}.u0" in self._left:
            # The form of BigGAN-PyTorch and mmgeneration: one power iteration at every call.
            weight = self.take(f"{name}.weight", shape)
            left = self.take(f"{name}.u0", (1, rows))[0]
            self.take(f"{name}.sv0", (1,))
            matrix = weight.reshape(rows, columns)
            right = left @ matrix / np.linalg.norm(left @ matrix)
            return weight, left, right
        weight = self.take(f"{name}.weight_orig", shape)
        left = self.take(f"{name}.weight_u", (rows,))
        right = self.take(f"{name}.weight_v", (columns,))
        projection = weight.reshape(rows, columns) @ right
        norm = left @ projection
        if not norm > 0 and not self._misfits:  # after a misfit, values may be placeholders
            self._misfits.append(f"{name} was never trained: its spectral norm is {norm:.2g}")
        # PyTorch's norm is u W v with a u from before the last update of W; ours is |W v|. Scaling
        # v makes both equal, and the next training call computes v again.
        return weight, left, right * (norm / np.linalg.norm(projection))


def _float32(values: np.ndarray) -> np.ndarray:
    return values.astype("float32")
