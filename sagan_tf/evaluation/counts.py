"""Are there images enough for each metric? Asked before features are extracted."""

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
    """Raises a `ValueError` that names the first metric with too few images, and what it needs.

    Args:
        metrics: what shall be scored.
        protocol: how.
        num_generated: images.
        num_real: images; `None` if statistics take their place.
        sure_of_classes: whether the extractor gives what the Inception score is made of.
        flag: the one that asks for generated images.
    """
    neighbours = max(protocol.precision_k, protocol.density_k) + 1
    # Of each metric, how many generated and real images it needs.
    needed = {
        "is": (protocol.inception_splits if sure_of_classes else 1, 0),
        "fid": (2, 2),
        # Parts of different sizes, from two images up.
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
