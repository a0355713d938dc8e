"""The attention of queries to keys: with its scores, without them, or in chunks."""

from typing import Any

import keras
from keras import ops


def attend(query: Any, key: Any, value: Any, mask: Any = None) -> tuple[Any, Any]:
    """The weighted mean of the values for each query, and the attention scores that weigh them.

    Args:
        query: `(N, L, C)`.
        key: `(N, M, C)`.
        value: `(N, M, D)`.
        mask: float32 `(L, M)`, added to the logits before the softmax; `None` adds nothing.

    Returns:
        The means, `(N, L, D)` in the values' dtype, and the scores, float32 `(N, L, M)`.
    """
    # Cast before the product, which overflows in float16.
    query, key = ops.cast(query, "float32"), ops.cast(key, "float32")
    logits = ops.matmul(query, _transposed(key))
    scores = ops.softmax(logits if mask is None else ops.add(logits, mask), axis=-1)
    return ops.matmul(ops.cast(scores, value.dtype), value), scores


def attend_without_scores(query: Any, key: Any, value: Any, mask: Any = None) -> Any:
    """The means of `attend`, with the gradient that takes least time and memory."""
    floats = keras.backend.standardize_dtype(value.dtype)
    if keras.backend.backend() == "tensorflow" and floats == "float32":
        return attend_by_formula(query, key, value, mask)
    return attend(query, key, value, mask)[0]


def attend_by_formula(query: Any, key: Any, value: Any, mask: Any = None) -> Any:
    """The means of `attend`, of float32 on the TensorFlow backend, with a gradient by formula.

    The gradient of a softmax subtracts from the gradients of a query's scores their mean, weighted
    by the scores. That mean is the product of the query's result and the result's gradient
    (FlashAttention, arXiv 2205.14135, appendix B.2). So no pass over the scores computes it, and
    one more column in the product that gives their gradients subtracts it. That column would be
    too coarse in bfloat16.
    """

    @ops.custom_gradient
    def means_of(query: Any, key: Any, value: Any) -> tuple[Any, Any]:
        means, scores = attend(query, key, value, mask)

        def gradient(of_means: Any) -> tuple[Any, Any, Any]:
            mean = ops.sum(of_means * means, axis=-1, keepdims=True)
            left = ops.concatenate([of_means, -mean], axis=-1)
            right = ops.concatenate([value, ops.ones_like(value[..., :1])], axis=-1)
            of_logits = scores * ops.matmul(left, _transposed(right))
            # Small tensors are transposed here, none of the scores' size.
            return (
                ops.matmul(of_logits, key),
                _transposed(ops.matmul(_transposed(query), of_logits)),
                _transposed(ops.matmul(_transposed(of_means), scores)),
            )

        return means, gradient

    return means_of(query, key, value)


def attend_in_chunks(
    query: Any, key: Any, value: Any, chunk_size: int, recompute: bool = True
) -> Any:
    """The means of `attend`, computed for at most `chunk_size` queries at a time.

    With `recompute`, only the queries of a chunk are kept for the gradient, which computes the
    chunk's scores a second time. XLA undoes this where the loop is unrolled, and it cannot
    differentiate `ops.scan`.
    """
    # Sizes may be tensors here, for a map of unknown size.
    length, channels = ops.shape(query)[1:]
    chunks = -(-length // chunk_size)
    chunk_size = -(-length // chunks)  # Chunks of about the same size need the least padding.
    padding = chunks * chunk_size - length
    padded = ops.pad(query, ((0, 0), (0, padding), (0, 0)))
    split = ops.reshape(padded, (-1, chunks, chunk_size, channels))

    def means(*arguments: Any) -> Any:
        return attend(*arguments)[0]

    # Keys and values are arguments, as `remat` has no gradient for variables of a closure. A graph
    # that is only served needs no gradient of its own.
    of_chunk = keras.remat(attend_without_scores) if recompute else means
    attended = ops.map(
        lambda chunk: of_chunk(chunk, key, value), ops.transpose(split, (1, 0, 2, 3))
    )
    joined = ops.transpose(attended, (1, 0, 2, 3))  # (N, chunks, chunk size, D)
    return ops.reshape(joined, (-1, chunks * chunk_size, value.shape[-1]))[:, :length]


def _transposed(matrices: Any) -> Any:
    return ops.transpose(matrices, (0, 2, 1))
