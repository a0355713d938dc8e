"""Checks of every sample grid of a run: are samples varied, and are they copies?

Samples of a class may look alike although its real images do not (`Variety`). They may be copies
of training images (`Copies`), which happens when the discriminator has memorised these
(`KnownImages`).
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import keras
import numpy as np
from absl import logging

from sagan_tf.data import load_source
from sagan_tf.data.folder import SPLITS
from sagan_tf.evaluation.images import RealImages
from sagan_tf.evaluation.neighbours import nearest
from sagan_tf.evaluation.spread import class_spread, relative_spread
from sagan_tf.sampling import from_uint8
from sagan_tf.training.collapse import EARLY_GRIDS, GRIDS_IN_A_ROW, LastingSign

# Smallest relative spread of varied samples. On handwritten digits, runs whose samples of a class
# look alike have 0.3 to 0.5, and varied runs 0.8 to 0.9.
NARROW_SPREAD = 0.6
# Samples are copies if their distance to the nearest training image is below this fraction of the
# distance between real neighbours; the mean image of a class, which is near to all, has about 0.7.
COPIED_DISTANCE = 0.4
# The discriminator has memorised its training images if the gap between their logits and those of
# unseen real images is more than this fraction of the gap to generated images.
KNOWN_SHARE = 0.5

# Number of real images whose nearest neighbours and logits are computed.
_COMPARED = 256
# Side to which images are reduced before pixels are compared: limits memory and time.
_SIDE = 32
# Images per call of the discriminator: limits memory.
_BATCH_SIZE = 64
# The order matters: the `test` split of ImageNet has no classes.
_HELD_OUT_SPLITS = ("validation", "test")

_VARIETY_REMEDIES = (
    "What usually helps: --r1_weight=10 --r1_interval=4 with --d_steps=2, --nodense_bias, a wider "
    "--discriminator_base_filters, lower --generator_learning_rate and "
    "--discriminator_learning_rate, and --augment in long runs on few images."
)


class GridCheck(Protocol):
    """Interface of a check that measures every sample grid and warns once if a sign persists."""

    def see(
        self, step: int, images: Sequence[np.ndarray], labels: Sequence[int] | None
    ) -> dict[str, float]:
        """Measures a grid.

        Args:
            step: training step of the grid.
            images: the samples, uint8 `(H, W, C)` each.
            labels: one per image; `None` without classes.

        Returns:
            Scalars to log, by name.
        """


class Variety:
    """Compares the spread of each sample grid with that of real images, and warns of collapse.

    Args:
        images: real images, uint8 `(N, H, W, C)`.
        labels: int `(N,)`, classes of the images; `None` treats all images as one class, for
            samples of an unconditional generator.
        class_images: number of real images per class to compare, as many as a grid shows.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray | None, class_images: int) -> None:
        labels = np.zeros(len(images), np.int64) if labels is None else np.asarray(labels)
        self._real: Mapping[int, float] = {}
        for label in np.unique(labels).tolist():
            first = np.flatnonzero(labels == label)[:class_images]
            self._real |= class_spread(images[first], labels[first])
        self._sign = LastingSign(GRIDS_IN_A_ROW, EARLY_GRIDS)

    def see(
        self, step: int, images: Sequence[np.ndarray], labels: Sequence[int] | None
    ) -> dict[str, float]:
        """Returns `variety/relative_spread`, or nothing if no class has differing real images."""
        spread = relative_spread(self._real, class_spread(np.stack(images), labels))
        if spread is None:
            return {}
        if self._sign.lasts(spread.ratio < NARROW_SPREAD):
            logging.warning(
                "Step %d: samples of a class have looked alike in %d grids: now they differ %.2f "
                "times as much as real images of a class do. %s",
                step,
                GRIDS_IN_A_ROW,
                spread.ratio,
                _VARIETY_REMEDIES,
            )
        return {"variety/relative_spread": spread.ratio}


class Copies:
    """Measures how near a grid's samples come to training images, and warns of copies.

    It can detect only copies of the training images given here.

    Args:
        images: training images, uint8 `(N, H, W, C)`.
    """

    def __init__(self, images: np.ndarray) -> None:
        self._training = _rows(images)
        self._colour = images.shape[-1] == 3
        self._real_distance = 0.0
        if len(images) > 1:
            # The nearest neighbour of a training image is the image itself, so take the second.
            distances, _ = nearest(self._training[:_COMPARED], self._training, 2)
            self._real_distance = float(distances[:, 1].mean())
        self._sign = LastingSign(GRIDS_IN_A_ROW, EARLY_GRIDS)

    def see(
        self, step: int, images: Sequence[np.ndarray], labels: Sequence[int] | None
    ) -> dict[str, float]:
        """Returns `memorising/nearest_distance`, or nothing if all training images are the same.

        It is the mean distance from a sample to the nearest training image, divided by the mean
        distance from a training image to the nearest other one. Samples as far apart as training
        images have 1, copies 0.
        """
        if not self._real_distance:
            return {}
        distances, _ = nearest(_rows(np.stack(images)), self._training, 1)
        distance = float(distances.mean()) / self._real_distance
        if self._sign.lasts(distance < COPIED_DISTANCE):
            _warn(
                f"Step {step}: samples have been near to copies of training images in "
                f"{GRIDS_IN_A_ROW} grids: their distance to the nearest one is {distance:.2f} of "
                "that between training images.",
                self._colour,
            )
        return {"memorising/nearest_distance": distance}


class KnownImages:
    """Compares the discriminator's logits of training images with those of unseen real images.

    Warns if the gap between these is more than half the gap between training and generated images.
    The discriminator has then memorised the training images, and teaches the generator to repeat
    them.

    Args:
        discriminator: discriminator of the run; it is only called with `training=False`.
        training: training images, uint8 `(N, H, W, C)`, and labels `(N,)`.
        held_out: images and labels of the same data set that are never trained on, likewise.
    """

    def __init__(
        self,
        discriminator: keras.Model,
        training: tuple[np.ndarray, np.ndarray],
        held_out: tuple[np.ndarray, np.ndarray],
    ) -> None:
        self._discriminator = discriminator
        # Copied, so that the other images need not stay in memory.
        (self._training, self._training_labels), (self._held_out, self._held_out_labels) = (
            [np.array(part[:_COMPARED]) for part in side] for side in (training, held_out)
        )
        self._sign = LastingSign(GRIDS_IN_A_ROW, EARLY_GRIDS)

    def see(
        self, step: int, images: Sequence[np.ndarray], labels: Sequence[int] | None
    ) -> dict[str, float]:
        """Returns `memorising/train_logits`, `.../held_out_logits` and `.../sample_logits`."""
        training = self._logits(self._training, self._training_labels)
        held_out = self._logits(self._held_out, self._held_out_labels)
        samples = self._logits(np.stack(images), labels)
        gap = training.mean() - held_out.mean()
        known = gap > KNOWN_SHARE * (training.mean() - samples.mean())
        # Means over so few images also differ by chance.
        chance = np.sqrt(training.var() / len(training) + held_out.var() / len(held_out))
        if self._sign.lasts(known and gap > 3 * chance):
            _warn(
                f"Step {step}: the discriminator has known its training images by heart in "
                f"{GRIDS_IN_A_ROW} grids: its mean logit is {training.mean():.2f} for training "
                f"images, {held_out.mean():.2f} for real images that it has never seen, and "
                f"{samples.mean():.2f} for samples.",
                self._training.shape[-1] == 3,
            )
        return {
            "memorising/train_logits": float(training.mean()),
            "memorising/held_out_logits": float(held_out.mean()),
            "memorising/sample_logits": float(samples.mean()),
        }

    def _logits(self, images: np.ndarray, labels: Sequence[int] | np.ndarray | None) -> np.ndarray:
        """The discriminator's logits of uint8 images, float32 `(N,)`."""
        if self._discriminator.num_classes is None:
            labels = None
        parts = []
        for start in range(0, len(images), _BATCH_SIZE):
            rows = slice(start, start + _BATCH_SIZE)
            of_rows = None if labels is None else np.asarray(labels[rows], np.int32)
            pixels = from_uint8(images[rows])
            parts.append(np.ravel(self._discriminator(pixels, of_rows, training=False)))
        return np.concatenate(parts)


def held_out_images(
    dataset: str,
    data_dir: str | None,
    split: str,
    image_size: int,
    background: str = "white",
    class_names: tuple[str, ...] | None = None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Reads up to 256 real images that are not trained on.

    Call it after the training images have been loaded: TFDS then has all splits of the data set.

    Args:
        dataset: see `data.load_source`.
        data_dir: see `data.load_source`.
        split: the split that is trained on.
        image_size: side to which images are resized.
        background: see `data.load_source`.
        class_names: class names of the split that is trained on; another split must have the same.

    Returns:
        Images, uint8 `(256, H, W, C)` or fewer, and labels, int32; `None` if the data set has no
        other split or it cannot be read.
    """
    trained = SPLITS.get(split.casefold(), split)
    for name in _HELD_OUT_SPLITS:
        if name in trained:
            continue
        try:
            source = load_source(dataset, data_dir, name, image_size, background)
            real = RealImages(source, name, image_size, _COMPARED)
            images, labels = real.read(0, real.num_images)
        except Exception as error:  # any error: training does not need this split
            logging.info("No held-out images of %s %s: %s", dataset, name, error)
            continue
        if labels.min() >= 0 and class_names in (None, source.class_names):
            return images, labels
    return None


def _rows(images: np.ndarray) -> np.ndarray:
    """Images as float32 rows; images of 64 pixels and more are reduced by averaging blocks."""
    count, side, _, channels = images.shape
    block = max(1, side // _SIDE)
    shape = (count, side // block, block, side // block, block, channels)
    if block == 1:
        return images.reshape(count, -1).astype(np.float32)
    return images.reshape(shape).mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)


def _warn(finding: str, colour: bool) -> None:
    augmentation = "color,translation" if colour else "translation"
    logging.warning(
        "%s What usually helps: --r1_weight=10, --augment=%s, --consistency_weight, fewer steps, "
        "or an earlier checkpoint (--eval_every keeps the one that scores best in best/).",
        finding,
        augmentation,
    )
