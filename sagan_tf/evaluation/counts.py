"""Checks, before features are extracted, that there are enough images for each metric."""

from collections.abc import Collection

from sagan_tf.evaluation.frechet import EXTRAPOLATION_POINTS
from sagan_tf.evaluation.protocols import Protocol


def check_counts(
    metrics: Collection[str],
    protocol: Protocol,
    num_generated: int,
    num_real: int | None,
    sure_of_classes: bool,
    flag: str = "num_images",
) -> None:
    """Raises `ValueError` for the first metric with too few images, and says how many it needs.

    Args:
        metrics: names of the metrics to compute.
        protocol: evaluation protocol.
        num_generated: number of generated images.
        num_real: number of real images; `None` if statistics take their place.
        sure_of_classes: whether the extractor returns the logits that the Inception score needs.
        flag: the flag that sets the number of generated images, for the message.
    """
    neighbours = max(protocol.precision_k, protocol.density_k) + 1
    # Least number of generated and of real images for each metric.
    needed = {
        "is": (protocol.inception_splits if sure_of_classes else 1, 0),
        "fid": (2, 2),
        # Fitted to parts of different sizes, from two images up.
        "fid_infinity": (EXTRAPOLATION_POINTS + 1, 2),
        "sfid": (2, 2),
        "kid": (2, 2),
        "overlap": (neighbours, neighbours),
    }
    for metric in (name for name in needed if name in metrics):
        generated, real = needed[metric]
        if num_generated < generated:
            raise ValueError(
                f"The metric {metric} needs at least {generated} generated images (`--{flag}`). "
                f"Received: {num_generated}. Give more, or leave it out of `--metrics`."
            )
        if num_real is not None and num_real < real:
            raise ValueError(
                f"The metric {metric} needs at least {real} real images (`--num_real`, of the data "
                f"set). Received: {num_real}. Give more, or leave it out of `--metrics`."
            )
