"""What real images score against one another: says whether a distance is near or far.

Distances between features of one's own have no published values to be compared with.
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
        num_generated: images that are scored; of the half that takes their place no more are used,
            since distances to fewer images are larger.
        metrics: of which `fid` and `kid` count.

    Returns:
        `num_images` of the smaller side, and the distances by the names under which those of
        generated images are; `None` for fewer than four real images.
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
