"""GeoTex for TensorFlow Datasets: `tfds.load("geotex/64")` once this module is imported."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from sagan_tf.geotex.drawing import CLASS_NAMES, SPLITS, draw


@dataclasses.dataclass(kw_only=True)
class GeotexConfig(tfds.core.BuilderConfig):
    """Configuration for one image size.

    Attributes:
        image_size: side of the images in pixels.
    """

    image_size: int


class Geotex(tfds.core.GeneratorBasedBuilder):
    """The images of `--dataset=geotex`, stored on disk at 32, 64 or 128 pixels; no download."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = tuple(
        GeotexConfig(name=str(size), description=f"{size}x{size} pixels", image_size=size)
        for size in (32, 64, 128)
    )

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.image_size
        return tfds.core.DatasetInfo(
            builder=self,
            description="Drawn images of four geometry classes and four texture classes.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(size, size, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=CLASS_NAMES),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://arxiv.org/abs/1805.08318",  # the images test a claim of this paper
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(indices) for split, indices in SPLITS.items()}

    def _generate_examples(self, indices: range) -> Iterator[tuple[int, dict[str, Any]]]:
        for index in indices:
            example = draw(index, self.builder_config.image_size)
            yield index, {"image": example.image, "label": example.label}
