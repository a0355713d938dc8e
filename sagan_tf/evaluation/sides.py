"""The two sides of a comparison, by the places that hold them: real images, and those to score."""

import dataclasses
import sys
from collections.abc import Collection, Sequence

import numpy as np

from sagan_tf.data import load_source
from sagan_tf.data.decode import parse_background
from sagan_tf.data.registry import DEFAULT_BACKGROUND
from sagan_tf.evaluation.image_files import ArrayImages, FileImages, NoImages
from sagan_tf.evaluation.images import (
    Images,
    ImagesPart,
    NamedImages,
    RealImages,
    SavedModelImages,
    ServedImages,
)
from sagan_tf.evaluation.matching import match_classes
from sagan_tf.evaluation.moments import Moments
from sagan_tf.evaluation.protocols import Protocol
from sagan_tf.evaluation.published_statistics import read_moments
from sagan_tf.run import data_set
from sagan_tf.serving.client import Client

# Metrics that statistics alone do not give.
_OF_IMAGES = {"intra_fid", "kid", "overlap", "spread"}


@dataclasses.dataclass(frozen=True)
class RealPlace:
    """Where real images come from.

    Attributes:
        name: a data set as `load_source` takes it, or npz:PATH with images (`arr_0`) or with
            statistics that are published.
        data_dir: see `load_source`.
        split: likewise.
        image_size: side of the images; `None` for that of the data set.
        background: colour behind transparent images of a folder.
        class_names: in the order in which a run knows the classes of a folder, if it is known.
        metrics: what will be asked of the images.
    """

    name: str
    data_dir: str | None = None
    split: str = "train"
    image_size: int | None = None
    background: str = DEFAULT_BACKGROUND
    class_names: Sequence[str] = ()
    metrics: Collection[str] = ()

    def images(self, num_images: int) -> tuple[Images, tuple[str, ...], dict[str, Moments]]:
        """So many images at most, their classes' names, and moments that are known without them.

        Raises:
            ValueError: for a place that holds none, a size that is not known, or metrics that
                statistics alone do not give.
        """
        if self.name.startswith("npz:"):
            return self._arrays(self.name.removeprefix("npz:"), num_images)
        background = self.background if self.name.startswith("folder:") else DEFAULT_BACKGROUND
        source = load_source(self.name, self.data_dir, self.split, self.image_size, background)
        data_set.follow_order(source, self.class_names)
        image_size = self.image_size or source.image_size
        if image_size is None:
            raise ValueError("`--image_size` must say to what size real images are brought.")
        return RealImages(source, self.split, image_size, num_images), source.class_names, {}

    def halves(self, protocol: Protocol, asked: int | None) -> tuple[Images, Images]:
        """Real images, and others of the same data set that are scored as if they were generated.

        The others are the last of the data set's fixed order. So the first are also those that
        generated images are compared with if `--num_real` asks for as many.

        Args:
            protocol: says how many of both are taken.
            asked: others that must be there; `None` takes what half of the data set holds.

        Raises:
            ValueError: for fewer images than that takes.
        """
        whole, *_ = self.images(sys.maxsize)
        half = whole.num_images // 2
        if half < max(2, asked or 0):
            raise ValueError(
                "`--images=real` scores at least 2 and at most half of the real images "
                "(`--num_images`) against the others. Received: "
                f"num_images={asked or 2} of {whole.num_images} real images. Ask for "
                "fewer, or take a larger data set."
            )
        count = min(protocol.num_images, half)
        first = whole.num_images - count
        real, *_ = self.images(min(protocol.num_real, first))
        identity = {"real": {**whole.identity, "first": first, "num_images": count}}
        return real, ImagesPart(whole, range(first, whole.num_images), identity)

    def _arrays(
        self, path: str, num_images: int
    ) -> tuple[Images, tuple[str, ...], dict[str, Moments]]:
        known = read_moments(path)
        with np.load(path) as file:
            has_images = "arr_0" in file
        if has_images or not known:
            return ArrayImages(path, num_images), (), known
        missing = _OF_IMAGES & set(self.metrics)
        if missing:
            raise ValueError(
                f"{path} has statistics alone, and `--metrics` {', '.join(sorted(missing))} need "
                "real images. Leave them out, or name a data set."
            )
        return NoImages(path), (), known


def images_of_others(
    place: str,
    num_images: int,
    class_names: Sequence[str],
    image_size: int | None = None,
    background: str = DEFAULT_BACKGROUND,
    model_name: str = "sagan",
) -> Images:
    """Images to score that no run here generates, with the labels of the real images' classes.

    Args:
        place: folder:PATH, npz:PATH, savedmodel:PATH of an exported version, or a server's URL.
        num_images: at most.
        class_names: of the real images; none if those have numbers alone.
        image_size: of a folder's images; `None` for that of the files.
        background: colour behind transparent images of a folder.
        model_name: at a server.

    Raises:
        ValueError: for a place that holds none, or other classes than the real images'.
        ServingError: if a server refuses.
    """
    kind, _, path = place.partition(":")
    if kind == "npz":  # whose classes have numbers and no names
        arrays = ArrayImages(path, num_images)
        arrays.check_labels(len(class_names))
        return arrays
    images: NamedImages
    if kind == "folder":
        images = FileImages(path, num_images, image_size, parse_background(background))
    elif kind == "savedmodel":
        images = SavedModelImages(path, num_images)
    else:
        images = ServedImages(Client(place, model_name), place, num_images)
    strict = kind == "folder"
    return match_classes(images, images.class_names, class_names, "--images", strict)
