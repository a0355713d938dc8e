"""Regularisation that keeps a discriminator from memorising its data: augmentation, penalties."""

from typing import Any

import keras
import tensorflow as tf

from sagan_tf.losses import consistency_loss, lecam_loss
from sagan_tf.training.augmentation import augment, check_policies, num_uniforms

# Augmentation of the copies for `consistency_weight`, if no policies are given.
CONSISTENT_UNDER = ("translation",)
# Decay of LeCam's moving averages per discriminator update (google/lecam-gan, `lecam.py`).
ANCHOR_DECAY = 0.99
# Views of a batch, each augmented with random numbers of its own.
REAL, FAKE, COPY = range(3)


@keras.saving.register_keras_serializable("sagan_tf")
class Regularization(keras.layers.Layer):
    """Augments the discriminator's images and penalises its logits; by default it does neither.

    Args:
        policies: names of differentiable augmentations, see `augmentation.POLICIES`; applied to
            real and generated images in both networks' updates.
        adaptive: whether the probability of augmentation starts at 0 and follows the mean sign of
            the logits of real images: it rises while the sign is above `target` and falls while it
            is below (ADA, Karras et al., arXiv 2006.06676, section 3). Otherwise it is 1.
        target: target of the mean sign, in [-1, 1].
        ramp_images: number of real images in which the probability can rise from 0 to 1.
        consistency_weight: weight of `losses.consistency_loss` between real images and copies,
            which are augmented by `policies`, or by translation if there are none.
        lecam_weight: weight of `losses.lecam_loss`.
        r1_weight: weight of `losses.r1_penalty`. The penalty is computed in every
            `r1_interval`-th update and is multiplied by `r1_interval` there (lazy regularisation,
            Karras et al., arXiv 1912.04958, section 3.1).
        r1_interval: number of discriminator updates per update with the R1 penalty.

    Attributes:
        probability: float32 variable, probability of augmentation, if adaptive.
        anchors: float32 `(2,)` variable, moving averages of the logits of real and generated
            images, if `lecam_weight` is not 0.

    Raises:
        ValueError: for an unknown policy, a negative weight, or a value outside its range.
    """

    def __init__(
        self,
        policies: tuple[str, ...] = (),
        adaptive: bool = False,
        target: float = 0.6,
        ramp_images: int = 500_000,
        consistency_weight: float = 0.0,
        lecam_weight: float = 0.0,
        r1_weight: float = 0.0,
        r1_interval: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "regularization", "dtype": "float32", **kwargs})
        check_policies(policies)
        _check_range(
            consistency_weight=consistency_weight, lecam_weight=lecam_weight, r1_weight=r1_weight
        )
        if ramp_images < 1 or r1_interval < 1 or not -1 <= target <= 1:
            raise ValueError(
                "`ramp_images` and `r1_interval` must be positive, `target` in [-1, 1]. Received: "
                f"ramp_images={ramp_images}, r1_interval={r1_interval}, target={target}"
            )
        if adaptive and not policies:
            raise ValueError("`adaptive` needs `policies` to apply. Received: policies=()")
        self.policies = tuple(policies)
        self.adaptive = adaptive
        self.target = target
        self.ramp_images = ramp_images
        self.consistency_weight = consistency_weight
        self.lecam_weight = lecam_weight
        self.r1_weight = r1_weight
        self.r1_interval = r1_interval
        self.copy_policies = self.policies or CONSISTENT_UNDER
        if adaptive:
            self.probability = self._state("probability", ())
        if lecam_weight:
            self.anchors = self._state("anchors", (2,))
        self.built = True

    @property
    def num_uniforms(self) -> int:
        """Number of random numbers for each view of an image; 0 if nothing is random."""
        if self.policies or self.consistency_weight:
            return num_uniforms(self.copy_policies)
        return 0

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the scalars that `penalty` and `update` report."""
        return (
            ("augment_probability", "real_logits_sign") * self.adaptive
            + ("consistency_loss",) * bool(self.consistency_weight)
            + ("lecam_loss",) * bool(self.lecam_weight)
        )

    def augmented(self, images: Any, uniforms: Any, view: int) -> Any:
        """Images as the discriminator sees them.

        Args:
            images: float32 `(N, S, S, C)` in [-1, 1].
            uniforms: float32 `(N, 3, num_uniforms)` in [0, 1), or `None` if nothing is random.
            view: REAL or FAKE.
        """
        if not self.policies:
            return images
        probability = self.probability if self.adaptive else 1.0
        return augment(images, uniforms[:, view], self.policies, probability)

    def copies(self, images: Any, uniforms: Any) -> list[Any]:
        """Augmented copies of real images for the consistency loss: one batch, or none."""
        if not self.consistency_weight:
            return []
        return [augment(images, uniforms[:, COPY], self.copy_policies)]

    def penalty(
        self, real_logits: Any, fake_logits: Any, copies_logits: list[Any]
    ) -> tuple[Any, dict[str, Any]]:
        """The penalty to add to the discriminator's loss, a scalar, and its parts by name."""
        parts = {}
        total = tf.zeros(())
        if self.consistency_weight:
            parts["consistency_loss"] = consistency_loss(real_logits, *copies_logits)
            total += self.consistency_weight * parts["consistency_loss"]
        if self.lecam_weight:
            parts["lecam_loss"] = lecam_loss(real_logits, fake_logits, *tf.unstack(self.anchors))
            total += self.lecam_weight * parts["lecam_loss"]
        if self.adaptive:
            parts["real_logits_sign"] = tf.reduce_mean(tf.sign(real_logits))
        return total, parts

    def update(self, logs: dict[str, Any], updates: Any, images: Any) -> dict[str, Any]:
        """Updates `anchors` and `probability` after an update of the discriminator.

        Args:
            logs: scalars of that update, means over all replicas.
            updates: number of discriminator updates so far, including this one.
            images: number of real images in this update, over all replicas.

        Returns:
            The logs, with the probability of augmentation if it is adaptive.
        """
        if self.lecam_weight:
            logits = tf.stack([logs["real_logits"], logs["fake_logits"]])
            # At first a plain mean, so that the anchors' initial value does not matter.
            updates = tf.cast(updates, tf.float32)
            decay = tf.minimum(ANCHOR_DECAY, 1 - 1 / updates)
            self.anchors.assign(self.anchors * decay + logits * (1 - decay))
        if self.adaptive:
            step = tf.cast(images, tf.float32) / self.ramp_images
            moved = self.probability + tf.sign(logs["real_logits_sign"] - self.target) * step
            self.probability.assign(tf.clip_by_value(moved, 0.0, 1.0))
            logs = {**logs, "augment_probability": self.probability.value}
        return logs

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "policies": self.policies,
            "adaptive": self.adaptive,
            "target": self.target,
            "ramp_images": self.ramp_images,
            "consistency_weight": self.consistency_weight,
            "lecam_weight": self.lecam_weight,
            "r1_weight": self.r1_weight,
            "r1_interval": self.r1_interval,
        }

    def _state(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        return self.add_weight(name=name, shape=shape, initializer="zeros", trainable=False)


def _check_range(**weights: float) -> None:
    for name, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise ValueError(f"`{name}` must be at least 0 and finite. Received: {name}={weight}")
