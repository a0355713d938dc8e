"""Losses, as functions of the discriminator's logits.

Hinge: SAGAN, arXiv 1805.08318, equation 3 (Lim & Ye, arXiv 1705.02894; Tran et al., arXiv
1702.08896). The others are added to the discriminator's, with a weight.
"""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("sagan_tf")
def discriminator_hinge_loss(real_logits: Any, fake_logits: Any) -> Any:
    """`mean(relu(1 - real)) + mean(relu(1 + fake))`, a scalar >= 0; logits are `(N, 1)`."""
    return ops.mean(ops.relu(1 - real_logits)) + ops.mean(ops.relu(1 + fake_logits))


@keras.saving.register_keras_serializable("sagan_tf")
def generator_hinge_loss(fake_logits: Any) -> Any:
    """`-mean(fake)`, a scalar; logits are `(N, 1)`."""
    return -ops.mean(fake_logits)


def consistency_loss(logits: Any, copy_logits: Any) -> Any:
    """`mean((logits - copy)^2)`, a scalar >= 0; logits `(N, 1)` of images and changed copies.

    Consistency regularisation, Zhang et al., arXiv 1910.12027, section 2.
    """
    return ops.mean(ops.square(logits - copy_logits))


def lecam_loss(real_logits: Any, fake_logits: Any, real_anchor: Any, fake_anchor: Any) -> Any:
    """`mean(relu(real - fake_anchor)^2) + mean(relu(real_anchor - fake)^2)`, a scalar >= 0.

    Logits are `(N, 1)`, anchors scalars: moving averages of real and of fake logits. Tseng et al.,
    arXiv 2104.03310, section 3, with the authors' code's `relu` (google/lecam-gan, `lecam.py`):
    what lies on the wrong side is left to the hinge.
    """
    return ops.mean(ops.square(ops.relu(real_logits - fake_anchor))) + ops.mean(
        ops.square(ops.relu(real_anchor - fake_logits))
    )


def r1_penalty(gradients: Any) -> Any:
    """Half the mean squared length of `gradients` `(N, H, W, C)` of logits by real images.

    Mescheder et al., arXiv 1801.04406, equation 9.
    """
    return ops.mean(ops.sum(ops.square(gradients), axis=(1, 2, 3))) / 2
