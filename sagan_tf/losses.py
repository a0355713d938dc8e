"""The hinge losses, as functions of the discriminator's logits.

SAGAN, arXiv 1805.08318, equation 3 (Lim & Ye, arXiv 1705.02894; Tran et al., arXiv 1702.08896).
"""

from typing import Any

from keras import ops


def discriminator_hinge_loss(real_logits: Any, fake_logits: Any) -> Any:
    """`mean(relu(1 - real)) + mean(relu(1 + fake))`, a scalar >= 0; logits are `(N, 1)`."""
    return ops.mean(ops.relu(1 - real_logits)) + ops.mean(ops.relu(1 + fake_logits))


def generator_hinge_loss(fake_logits: Any) -> Any:
    """`-mean(fake)`, a scalar; logits are `(N, 1)`."""
    return -ops.mean(fake_logits)
