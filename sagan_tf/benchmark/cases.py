"""The comparisons, by name."""

from collections.abc import Callable

from sagan_tf.benchmark.sampling_cases import folding_cases, sampling_cases, serving_cases
from sagan_tf.benchmark.score_cases import score_cases
from sagan_tf.benchmark.start_cases import input_cases, start_cases
from sagan_tf.benchmark.timing import Case
from sagan_tf.benchmark.training_cases import (
    attention_cases,
    checkpoint_cases,
    loop_cases,
    train_cases,
)


def groups(sizes: dict[str, int]) -> dict[str, Callable[[], list[Case]]]:
    """Functions that make the cases of each comparison, by its name.

    Args:
        sizes: `image_size`, `base_filters`, `num_classes` and `batch_size`.
    """
    return {
        "train": lambda: train_cases(sizes),
        "loop": loop_cases,
        "sampling": lambda: sampling_cases(sizes),
        "folding": lambda: folding_cases(sizes),
        "serving": lambda: serving_cases(sizes),
        "attention": lambda: attention_cases(sizes),
        "input": lambda: input_cases(sizes),
        "checkpoint": lambda: checkpoint_cases(sizes),
        "scores": score_cases,
        "start": start_cases,
    }
