"""Scores real images against one another, as a reference for distances.

Distances between features of a custom extractor have no published values to compare with.
"""

from collections.abc import Collection

import numpy as np

from sagan_tf.evaluation.feature_files import Features
from sagan_tf.evaluation.frechet import frechet_distance, frechet_distance_to_rows
from sagan_tf.evaluation.kernel_distance import kernel_distance
from sagan_tf.evaluation.moments import moments_of
from sagan_tf.evaluation.scores import main_names


def real_to_real(
    real: Features, num_generated: int, metrics: Collection[str]
) -> dict[str, float] | None:
    """Compares two random halves of the real images as if one of them were generated.

    Args:
        real: features of the real images.
        num_generated: number of generated images. The half that takes their place has at most as
            many, since distances to fewer images are larger.
        metrics: names of metrics; only `fid` and `kid` are computed.

    Returns:
        `num_images` of the smaller side, and the distances by the names that those of generated
        images have; `None` for fewer than four real images.
    """
    half = len(real) // 2
    if half < 2:
        return None
    main, fid, kid = main_names(real)
    order = np.random.default_rng(0).permutation(len(real))
    first = np.asarray(real[main][np.sort(order[half:])])
    second = np.asarray(real[main][np.sort(order[: min(half, num_generated)])])
    found: dict[str, float] = {"num_images": len(second)}
    if "fid" in metrics:
        few = len(second) <= second.shape[1]
        found[fid] = (
            frechet_distance_to_rows(moments_of(first), second)
            if few
            else frechet_distance(moments_of(first), moments_of(second))
        )
    if "kid" in metrics:
        found[kid] = kernel_distance(first, second)
    return found
