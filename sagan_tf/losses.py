"""Losses, as functions of the discriminator's logits.

The hinge losses are SAGAN's (arXiv 1805.08318, equation 3; Lim & Ye, arXiv 1705.02894; Tran et al.,
arXiv 1702.08896). The other losses are regularisers, added with a weight to the discriminator's.
"""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("sagan_tf")
def discriminator_hinge_loss(real_logits: Any, fake_logits: Any) -> Any:
    """Hinge loss `mean(relu(1 - real)) + mean(relu(1 + fake))`, a scalar >= 0; logits `(N, 1)`."""
    return ops.mean(ops.relu(1 - real_logits)) + ops.mean(ops.relu(1 + fake_logits))


@keras.saving.register_keras_serializable("sagan_tf")
def generator_hinge_loss(fake_logits: Any) -> Any:
    """Hinge loss of the generator, `-mean(fake)`, a scalar; logits `(N, 1)`."""
    return -ops.mean(fake_logits)


def consistency_loss(logits: Any, copy_logits: Any) -> Any:
    """Consistency regularisation, `mean((logits - copy)^2)`, a scalar >= 0.

    `logits` are those of images and `copy_logits` those of their augmented copies, both `(N, 1)`
    (Zhang et al., arXiv 1910.12027, section 2).
    """
    return ops.mean(ops.square(logits - copy_logits))


def lecam_loss(real_logits: Any, fake_logits: Any, real_anchor: Any, fake_anchor: Any) -> Any:
    """LeCam loss `mean(relu(real - fake_anchor)^2) + mean(relu(real_anchor - fake)^2)`, >= 0.

    Logits are `(N, 1)`. The anchors are scalars: moving averages of the real and of the fake
    logits. See Tseng et al., arXiv 2104.03310, section 3; the `relu` is from the authors' code
    (google/lecam-gan, `lecam.py`): logits on the wrong side of an anchor are left to the hinge
    loss.
    """
    return ops.mean(ops.square(ops.relu(real_logits - fake_anchor))) + ops.mean(
        ops.square(ops.relu(real_anchor - fake_logits))
    )


def r1_penalty(gradients: Any) -> Any:
    """R1 penalty: half the mean squared norm of `gradients`, a scalar >= 0.

    `gradients` `(N, H, W, C)` are those of the logits with respect to the real images (Mescheder
    et al., arXiv 1801.04406, equation 9).
    """
    return ops.mean(ops.sum(ops.square(gradients), axis=(1, 2, 3))) / 2
