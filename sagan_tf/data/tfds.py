"""TensorFlow Datasets (TFDS) as a source of encoded images, read by index from disk."""

import bisect
import difflib
import itertools
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# Without this, an offline TFDS would wait for Google Cloud's metadata server when it is imported.
os.environ.setdefault("NO_GCE_CHECK", "true")

import requests
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from sagan_tf.data import fashion_mnist
from sagan_tf.data.imagenet import readable_names
from sagan_tf.data.records import Records, TFRecords, allow_open_files
from sagan_tf.data.registry import FORMS, KINDS
from sagan_tf.data.source import Description, Source, folder_hint

_IMAGENET_ARCHIVES = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")


def describe_tfds(name: str, data_dir: str | None) -> Description:
    """The description of a TFDS data set from its code, without its data.

    Raises:
        ValueError: if there is no such data set, or it is not one of labelled images.
    """
    return _describe(_builder(name, data_dir))


class TFDS(Source):
    """A TFDS data set stored as ArrayRecord or TFRecord; prepared first (as ArrayRecord) if needed.

    Args:
        name: TFDS name, such as `cifar10` or `name/config`.
        data_dir: where TFDS keeps its data; `None` for `~/tensorflow_datasets`.
        split: TFDS split, such as `train` or `train[:10%]`.

    Raises:
        ValueError: for an unknown name or split, a data set that is not one of labelled images, or
            data that cannot be downloaded or prepared.
    """

    def __init__(self, name: str, data_dir: str | None, split: str) -> None:
        builder = _builder(name, data_dir)
        self._image_key, self._label_key = _image_and_label_keys(builder.info)
        builder = _prepared(builder)
        self._records = _open_records(builder, split)
        self._split = split
        self._shards = builder.info.splits[split].file_instructions
        self._ends = list(itertools.accumulate(shard.take for shard in self._shards))
        description = _describe(builder)  # some sets learn their class names while preparing
        super().__init__(
            name=description.name,
            class_names=description.class_names,
            channels=description.channels,
            num_examples=len(self._records),
        )

    def read(self, index: int) -> tuple[bytes, int]:
        """The encoded image of one example and its label."""
        features = _features(self._records[index])
        image = features[self._image_key].bytes_list.value[0]
        return image, features[self._label_key].int64_list.value[0]

    def read_labels(self, indices: Sequence[int]) -> list[int]:
        # ArrayRecord reads many records at a time 20 times faster than one by one.
        records = self._records.__getitems__(indices)
        return [_features(record)[self._label_key].int64_list.value[0] for record in records]

    def example_name(self, index: int) -> str:
        """The example's index in the split, and the file that holds it."""
        file = self._shards[bisect.bisect_right(self._ends, index)].filename
        return f"example {index} of {self.name} {self._split!r}, in {file}"


def _features(record: bytes) -> Mapping[str, tf.train.Feature]:
    return tf.train.Example.FromString(record).features.feature


def _builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(name, data_dir=data_dir)
    except (ValueError, AssertionError) as error:
        base_name = name.split("/")[0].split(":")[0]
        known = [*KINDS, *tfds.list_builders(with_community_datasets=False)]
        if base_name in known:
            raise ValueError(f"TFDS has no {name!r}: {str(error).splitlines()[0]}") from error
        near = difflib.get_close_matches(base_name, known)
        hint = folder_hint(name) or (f" Did you mean {' or '.join(near)}?" if near else "")
        raise ValueError(f"A data set is one of {FORMS}. Received: {name!r}.{hint}") from None


def _describe(builder: tfds.core.DatasetBuilder) -> Description:
    image_key, label_key = _image_and_label_keys(builder.info)
    label = builder.info.features[label_key]
    config = builder.builder_config
    return Description(
        name=f"{builder.name}/{config.name}" if config else builder.name,
        class_names=readable_names(label.names or map(str, range(label.num_classes))),
        channels=1 if builder.info.features[image_key].shape[-1] == 1 else 3,
    )


def _image_and_label_keys(info: tfds.core.DatasetInfo) -> tuple[str, str]:
    features = info.features
    images, labels = [], []
    for key, feature in features.items():
        if isinstance(feature, tfds.features.Image) and feature.dtype == "uint8":
            images.append(key)
        elif isinstance(feature, tfds.features.ClassLabel):
            labels.append(key)
    # A data set with several features of a kind (cifar100's coarse labels) names the main ones.
    if info.supervised_keys and len(info.supervised_keys) == 2:
        image, label = info.supervised_keys
        if image in images and label in labels:
            return image, label
    if len(images) == len(labels) == 1:
        return images[0], labels[0]
    listing = ", ".join(f"{key}: {type(feature).__name__}" for key, feature in features.items())
    raise ValueError(
        f"Training expects a data set with one uint8 Image and one ClassLabel feature. "
        f"Received: {info.full_name} with {listing}."
    )


def _prepared(builder: tfds.core.DatasetBuilder) -> tfds.core.DatasetBuilder:
    """Prepares the data set if needed; returns the builder of the prepared data."""
    if builder.is_prepared():
        return builder
    manual_dir = _manual_dir(builder)
    folder = None
    if builder.name == "imagenet2012":
        _check_imagenet_archives(manual_dir)
    elif builder.name == "fashion_mnist" and (folder := fashion_mnist.find_files(manual_dir)):
        logging.info("Reading Fashion-MNIST from the files in %s.", folder)
        builder = fashion_mnist.reading_from(folder, builder)
    else:
        _check_network(builder)
    logging.info("Preparing %s in %s, once.", builder.info.full_name, builder.data_dir)
    try:
        builder.download_and_prepare(
            file_format="array_record",
            download_config=tfds.download.DownloadConfig(manual_dir=folder),
        )
    except Exception as error:  # a builder's own code may raise anything
        raise ValueError(
            f"TFDS could not prepare {builder.info.full_name} in {builder.data_dir_root}. {error} "
            f"If an archive in {manual_dir.parent} is damaged, remove it or download it again."
            f"{_other_ways(builder)}"
        ) from error
    return builder


def _manual_dir(builder: tfds.core.DatasetBuilder) -> Path:
    return Path(builder.data_dir_root) / "downloads" / "manual"


def _other_ways(builder: tfds.core.DatasetBuilder) -> str:
    if builder.name != "fashion_mnist":
        return ""
    return f" {fashion_mnist.advice(_manual_dir(builder))}"


def _check_imagenet_archives(manual_dir: Path) -> None:
    missing = []
    for name in _IMAGENET_ARCHIVES:
        path = manual_dir / name
        if not path.exists():
            missing.append(name)
            continue
        try:
            with tarfile.open(path, "r:") as archive:
                archive.getmembers()  # goes from header to header: seconds, not minutes
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(
                f"Expected the archive {name} as image-net.org gives it. Received: {path} of "
                f"{path.stat().st_size:,} bytes, which is damaged or cut short ({error}). "
                f"Download it again."
            ) from error
    if missing:
        raise ValueError(
            f"ImageNet has to be downloaded by hand. Register at "
            f"https://image-net.org/download-images and put {' and '.join(_IMAGENET_ARCHIVES)} "
            f"into {manual_dir}; TFDS reads the archives as they are. Received: no {missing[0]} "
            f"there. `--data_dir` names another place."
        )


def _check_network(builder: tfds.core.DatasetBuilder) -> None:
    """Raises `ValueError` within seconds if the network is down; TFDS would try for minutes."""
    downloads = Path(builder.data_dir_root) / "downloads"
    if downloads.is_dir() and any(downloads.iterdir()):
        return  # Archives that were downloaded or put there earlier need no network.
    for url in list(builder.url_infos or ())[:1]:
        try:
            requests.head(url, timeout=10)
        except requests.exceptions.RequestException as error:
            raise ValueError(
                f"{builder.name} is not prepared in {builder.data_dir_root} and cannot be "
                f"downloaded: {url} does not answer. Connect to the internet, or copy a prepared "
                f"{builder.name} folder there (`--data_dir` names another place)."
                f"{_other_ways(builder)}"
            ) from error


def _open_records(builder: tfds.core.DatasetBuilder, split: str) -> Records:
    try:
        instructions = builder.info.splits[split].file_instructions
    except (KeyError, ValueError, AssertionError) as error:
        raise ValueError(
            f"`split` expects one of {list(builder.info.splits)} of {builder.info.full_name}, or "
            f"a part such as train[:10%]. Received: split={split!r}."
        ) from error
    if not instructions:
        raise ValueError(f"{builder.info.full_name} has no examples. Received: split={split!r}.")
    formats = {file_format.value for file_format in builder.info.available_file_formats()}
    if "array_record" in formats:
        allow_open_files(len(instructions))
        return builder.as_data_source(
            split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
        )
    if "tfrecord" in formats:
        return TFRecords(instructions)
    raise ValueError(
        f"{builder.info.full_name} in {builder.data_dir} is stored as {sorted(formats)}; training "
        f"reads array_record and tfrecord. Prepare it into another `--data_dir`."
    )
