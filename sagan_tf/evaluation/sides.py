"""Opens the two sides of a comparison from where they are: real images, and images to score."""

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
from sagan_tf.evaluation.protocols import PROTOCOLS, Protocol
from sagan_tf.evaluation.published_statistics import read_moments
from sagan_tf.run import data_set
from sagan_tf.serving.client import Client

# Metrics that cannot be computed from statistics alone.
_OF_IMAGES = {"intra_fid", "kid", "overlap", "spread"}
# Forms of the images to score, by their prefix.
_FORMS = {
    "folder": "folder:PATH",
    "npz": "npz:PATH",
    "savedmodel": "savedmodel:PATH",
    "http": "http://...",
    "https": "https://...",
    "real": "real",
}


def check_images(place: str, protocol: str) -> None:
    """Raises `ValueError` for images to score of an unknown form, or unlike the protocol's."""
    kind = place.partition(":")[0]
    if kind not in _FORMS:
        raise ValueError(f"`--images` is one of {', '.join(_FORMS.values())}. Received: {place}")
    if not PROTOCOLS[protocol].quantized and kind in ("savedmodel", "http", "https"):
        raise ValueError(
            f"`--protocol={protocol}` scores unrounded pixels of classes drawn at random, which "
            "an export does not give. Choose another protocol, or score the run by `--workdir`."
        )


@dataclasses.dataclass(frozen=True)
class RealPlace:
    """Where real images come from.

    Attributes:
        name: a data set as for `load_source`, or npz:PATH with images (`arr_0`) or published
            statistics.
        data_dir: see `load_source`.
        split: see `load_source`.
        image_size: side of the images; `None` for the data set's fixed size.
        background: colour behind transparent images of a folder.
        class_names: class names of a folder, in the order of the run, if they are known.
        metrics: names of the metrics that will be computed.
    """

    name: str
    data_dir: str | None = None
    split: str = "train"
    image_size: int | None = None
    background: str = DEFAULT_BACKGROUND
    class_names: Sequence[str] = ()
    metrics: Collection[str] = ()

    def images(self, num_images: int) -> tuple[Images, tuple[str, ...], dict[str, Moments]]:
        """At most `num_images` images, their class names, and published moments by feature name.

        Raises:
            ValueError: for a place without images or statistics, an unknown image size, or metrics
                that cannot be computed from statistics alone.
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

        The others are the last images in the data set's fixed order. So the first ones are the
        images that generated images are compared with if `--num_real` is the same number.

        Args:
            protocol: evaluation protocol, with the number of images on both sides.
            asked: number of other images that must exist; `None` takes up to half of the data set.

        Raises:
            ValueError: if the data set has too few images.
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
    """Images to score from elsewhere than a run, with the labels of the real images' classes.

    Args:
        place: folder:PATH, npz:PATH, savedmodel:PATH of an exported version, or a server's URL.
        num_images: largest number of images.
        class_names: class names of the real images; empty if the classes only have numbers.
        image_size: side of a folder's images; `None` for the files' own size.
        background: colour behind transparent images of a folder.
        model_name: name of the model on a server.

    Raises:
        ValueError: for a place without images, or classes that the real images do not have.
        ServingError: if a server refuses a request.
    """
    kind, _, path = place.partition(":")
    if kind == "npz":  # the classes of such files have numbers but no names
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
