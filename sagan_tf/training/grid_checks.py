"""What looks at every sample grid of a run: are samples varied, and are they copies?

Samples of a class may look alike, though its real images do not (`Variety`). They may be copies of
training images (`Copies`), which a discriminator that knows these by heart teaches (`KnownImages`).
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

# Of the digits, runs whose samples of a class look alike have 0.3 to 0.5, varied ones 0.8 to 0.9.
NARROW_SPREAD = 0.6
# Samples that come nearer to a training image than this share of the distance between real
# neighbours are copies; the mean image of a class, which is near to all, has about 0.7.
COPIED_DISTANCE = 0.4
# The discriminator knows its training images by heart if it tells them from real images that it
# has never seen this much as well as from generated ones.
KNOWN_SHARE = 0.5

# Real images whose neighbours are looked for, and from which logits are taken.
_COMPARED = 256
# Side to which images are reduced before pixels are compared: bounds memory and time.
_SIDE = 32
# Images per call of the discriminator: bounds memory.
_BATCH_SIZE = 64
# In this order: the `test` split of ImageNet has no classes.
_HELD_OUT_SPLITS = ("validation", "test")

_VARIETY_REMEDIES = (
    "What usually helps: --d_steps=2, --nodense_bias, a wider --discriminator_base_filters, lower "
    "--generator_learning_rate and --discriminator_learning_rate, and --augment where there are "
    "few images."
)


class GridCheck(Protocol):
    """What looks at every sample grid, and warns once when a bad sign has lasted."""

    def see(
        self, step: int, images: Sequence[np.ndarray], labels: Sequence[int] | None
    ) -> dict[str, float]:
        """Measures a grid.

        Args:
            step: of the training.
            images: the samples, uint8 `(H, W, C)` each.
            labels: one per image; `None` without classes.

        Returns:
            Scalars to log, by name.
        """


class Variety:
    """Compares the spread of each sample grid with that of real images, and warns of collapse.

    Args:
        images: real ones, uint8 `(N, H, W, C)`.
        labels: int `(N,)`, their classes; `None` takes all images for one class, as samples of a
            generator without classes are.
        class_images: of each class, the first so many are compared: as many as a grid shows.
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
        """Returns `variety/relative_spread`; nothing where no real images of a class differ."""
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

    Only copies of the training images that are given can be noticed.

    Args:
        images: training images, uint8 `(N, H, W, C)`.
    """

    def __init__(self, images: np.ndarray) -> None:
        self._training = _rows(images)
        self._colour = images.shape[-1] == 3
        self._real_distance = 0.0
        if len(images) > 1:
            # A training image's nearest is itself.
            distances, _ = nearest(self._training[:_COMPARED], self._training, 2)
            self._real_distance = float(distances[:, 1].mean())
        self._sign = LastingSign(GRIDS_IN_A_ROW, EARLY_GRIDS)

    def see(
        self, step: int, images: Sequence[np.ndarray], labels: Sequence[int] | None
    ) -> dict[str, float]:
        """Returns `memorising/nearest_distance`; nothing where training images are all the same.

        It is the mean distance to the nearest training image, in that of training images to the
        nearest other one: 1 is as far apart as those, 0 are copies.
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
    """Compares the discriminator's logits of training images with those of unseen real ones.

    Warns if it tells these apart half as well as training and generated images: then it has
    learned the training images by heart, and teaches the generator to repeat them.

    Args:
        discriminator: of the run; it is only ever called with `training=False`.
        training: images uint8 `(N, H, W, C)` and labels `(N,)`.
        held_out: likewise, of the same data set, but never trained on.
    """

    def __init__(
        self,
        discriminator: keras.Model,
        training: tuple[np.ndarray, np.ndarray],
        held_out: tuple[np.ndarray, np.ndarray],
    ) -> None:
        self._discriminator = discriminator
        # Copied, so that the rest need not stay in memory.
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
        # Means of so few images differ by chance, too.
        chance = np.sqrt(training.var() / len(training) + held_out.var() / len(held_out))
        if self._sign.lasts(known and gap > 3 * chance):
            _warn(
                f"Step {step}: the discriminator has known its training images by heart in "
                f"{GRIDS_IN_A_ROW} grids: its mean logit of them is {training.mean():.2f}, of real "
                f"images that it has never seen {held_out.mean():.2f}, of samples "
                f"{samples.mean():.2f}.",
                self._training.shape[-1] == 3,
            )
        return {
            "memorising/train_logits": float(training.mean()),
            "memorising/held_out_logits": float(held_out.mean()),
            "memorising/sample_logits": float(samples.mean()),
        }

    def _logits(self, images: np.ndarray, labels: Sequence[int] | np.ndarray | None) -> np.ndarray:
        """The discriminator's logits of images uint8, float32 `(N,)`."""
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
    """Reads 256 real images that are not trained on.

    Call it when the training images are there: TFDS then has all of the data set's splits.

    Args:
        dataset: see `data.load_source`.
        data_dir: likewise.
        split: that is trained on.
        image_size: side to which images are brought.
        background: see `data.load_source`.
        class_names: of the split that is trained on; another split must have the same.

    Returns:
        Images uint8 `(256, H, W, C)`, or fewer if there are fewer, and labels int32; `None` for
        a data set without another split, or one of which it cannot be read.
    """
    trained = SPLITS.get(split.casefold(), split)
    for name in _HELD_OUT_SPLITS:
        if name in trained:
            continue
        try:
            source = load_source(dataset, data_dir, name, image_size, background)
            real = RealImages(source, name, image_size, _COMPARED)
            images, labels = real.read(0, real.num_images)
        except Exception as error:  # whatever is wrong with it: it is not what is trained on
            logging.info("No held-out images of %s %s: %s", dataset, name, error)
            continue
        if labels.min() >= 0 and class_names in (None, source.class_names):
            return images, labels
    return None


def _rows(images: np.ndarray) -> np.ndarray:
    """Images as rows of float32, those larger than 32 pixels reduced by means of blocks."""
    count, side, _, channels = images.shape
    block = max(1, side // _SIDE)
    shape = (count, side // block, block, side // block, block, channels)
    if block == 1:
        return images.reshape(count, -1).astype(np.float32)
    return images.reshape(shape).mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)


def _warn(finding: str, colour: bool) -> None:
    augmentation = "color,translation" if colour else "translation"
    logging.warning(
        "%s What usually helps: --augment=%s, --consistency_weight, --r1_weight, fewer steps, or "
        "an earlier checkpoint (--eval_every keeps the one that scores best in best/).",
        finding,
        augmentation,
    )
