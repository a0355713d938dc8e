import io
import tarfile

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds
from PIL import Image

from sagan_tf.data import batches, describe_source, load_source, readable_errors
from sagan_tf.data.decode import decode_square
from sagan_tf.data.imagenet import readable_names
from tests.support.tfds_sets import write_data_set


@pytest.mark.parametrize("file_format", ["array_record", "tfrecord"])
def test_examples_by_index_from_both_formats(tmp_path, file_format):
    examples = write_data_set(tmp_path, "pets", file_format)
    source = load_source("pets", data_dir=str(tmp_path))
    assert (source.name, source.num_examples, source.channels) == ("pets", 30, 3)
    assert source.class_names == ("cat", "dog", "eel")
    read = [source.read(index) for index in np.random.default_rng(0).permutation(30)]
    pictures = {(decode_square(data, 9, 3).tobytes(), label) for data, label in read}
    assert pictures == {(decode_square(e["image"], 9, 3).tobytes(), e["label"]) for e in examples}


@pytest.mark.parametrize("file_format", ["array_record", "tfrecord"])
def test_parts_of_a_split(tmp_path, file_format):
    write_data_set(tmp_path, "pets", file_format)
    whole = load_source("pets", data_dir=str(tmp_path))
    part = load_source("pets", data_dir=str(tmp_path), split="train[50%:]")
    assert part.num_examples == 15
    assert [part.read(index) for index in range(15)] == [whole.read(i) for i in range(15, 30)]


def test_an_index_of_tfrecords_is_kept_and_renewed_with_the_file(tmp_path):
    write_data_set(tmp_path, "pets", "tfrecord")
    first = load_source("pets", data_dir=str(tmp_path))
    (index,) = tmp_path.rglob("*.offsets.npy")
    assert len(np.load(index)) == 31
    np.save(index, np.array([0, 5]))  # as left by a shard of another size
    again = load_source("pets", data_dir=str(tmp_path))
    assert again.read(29) == first.read(29)


def test_a_cut_tfrecord_is_named(tmp_path):
    write_data_set(tmp_path, "pets", "tfrecord")
    (shard,) = tmp_path.rglob("*.tfrecord-*")
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(ValueError, match=f"cut short.*Received: {shard}"):
        load_source("pets", data_dir=str(tmp_path))


def test_grey_images_have_one_channel(tmp_path):
    features = {
        "image": tfds.features.Image(shape=(8, 8, 1)),
        "label": tfds.features.ClassLabel(num_classes=2),
    }
    examples = [{"image": np.full((8, 8, 1), 7, np.uint8), "label": 1}] * 3
    write_data_set(tmp_path, "grey", "array_record", features, examples)
    source = load_source("grey", data_dir=str(tmp_path))
    assert (source.channels, source.class_names) == (1, ("0", "1"))


def test_descriptions_need_no_data(tmp_path):
    cifar = describe_source("cifar10", data_dir=str(tmp_path))
    assert (cifar.name, cifar.num_classes, cifar.channels) == ("cifar10", 10, 3)
    assert describe_source("mnist", data_dir=str(tmp_path)).channels == 1
    assert describe_source("imagenet2012", data_dir=str(tmp_path)).num_classes == 1000
    small = describe_source("imagenet_resized/64x64", data_dir=str(tmp_path))
    assert small.name == "imagenet_resized/64x64"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar11", "Received: 'cifar11'. Did you mean cifar10"),
        ("digit", "Received: 'digit'. Did you mean digits"),
        ("robohsh", "Received: 'robohsh'. Did you mean robohash"),
        ("../x", r"A data set is one of `digits`.*Received: '../x'"),
        ("imagenet2012:9.9.9", "TFDS has no 'imagenet2012:9.9.9'.*only: 5.1.0"),
        ("celeb_a", "one uint8 Image and one ClassLabel.*attributes: FeaturesDict"),
    ],
)
def test_names_that_lead_nowhere(tmp_path, name, message):
    for function in (load_source, describe_source):
        with pytest.raises(ValueError, match=message):
            function(name, data_dir=str(tmp_path))


def test_unknown_split_lists_the_known(tmp_path):
    write_data_set(tmp_path, "pets", "array_record")
    with pytest.raises(ValueError, match=r"one of \['train'\].*Received: split='test'"):
        load_source("pets", data_dir=str(tmp_path), split="test")


def test_without_network_the_message_comes_at_once(tmp_path, monkeypatch):
    def refused(url, timeout):
        raise requests.exceptions.ConnectionError

    monkeypatch.setattr(requests, "head", refused)
    with pytest.raises(ValueError, match=r"cifar10 is not prepared.*cannot be downloaded"):
        load_source("cifar10", data_dir=str(tmp_path))


def test_what_a_builder_raises_becomes_readable(tmp_path):
    manual = tmp_path / "downloads"
    manual.mkdir()
    (manual / "x").touch()
    with pytest.raises(ValueError, match=r"TFDS could not prepare resisc45/3.0.0.*download"):
        load_source("resisc45", data_dir=str(tmp_path))


def test_imagenet_without_archives_says_where_they_go(tmp_path):
    with pytest.raises(ValueError, match=r"ILSVRC2012_img_train.tar .*ILSVRC2012_img_val.tar"):
        load_source("imagenet2012", data_dir=str(tmp_path))
    with pytest.raises(ValueError, match=f"into {tmp_path}/downloads/manual;"):
        load_source("imagenet2012", data_dir=str(tmp_path))


@pytest.mark.parametrize("damaged", ["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"])
@pytest.mark.parametrize("content", [b"", b"garbage" * 99])
def test_damaged_imagenet_archives_are_named(tmp_path, damaged, content):
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    for name in ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"):
        with tarfile.open(manual / name, "w"):
            pass
    (manual / damaged).write_bytes(content)
    with pytest.raises(ValueError, match=f"{manual}/{damaged} of {len(content)} bytes, which is"):
        load_source("imagenet2012", data_dir=str(tmp_path))


def test_an_imagenet_archive_that_is_cut_short_is_named(tmp_path):
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    path = manual / "ILSVRC2012_img_train.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("a.tar", "b.tar"):
            member = tarfile.TarInfo(name)
            member.size = 4000
            archive.addfile(member, io.BytesIO(bytes(4000)))
    path.write_bytes(path.read_bytes()[:7000])
    with pytest.raises(ValueError, match=r"train.tar of 7,000 bytes, .*cut short .*Download it"):
        load_source("imagenet2012", data_dir=str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"garbage" * 99])
@pytest.mark.parametrize("file_format", ["array_record", "tfrecord"])
def test_damaged_files_of_records_are_named(tmp_path, monkeypatch, file_format, content):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    write_data_set(tmp_path, "pets", file_format)
    (path,) = tmp_path.rglob(f"*.{file_format}-*")
    path.write_bytes(content)

    def first_batch():
        source = load_source("pets", data_dir=str(tmp_path))
        options = {"image_size": 8, "seed": 0, "start_step": 0, "global_batch_size": 30}
        with readable_errors(source):
            next(iter(batches(source, **options)))

    with pytest.raises(ValueError, match=str(path)):
        first_batch()


def test_imagenet_from_its_archives(imagenet_data_dir, imagenet_files):
    """The whole way: both archives -> TFDS -> batches, each image the archive's own."""
    source = load_source("imagenet2012", data_dir=str(imagenet_data_dir))
    assert (source.name, source.num_examples, source.channels) == ("imagenet2012", 1002, 3)
    wordnet_ids = imagenet_files.wordnet_ids()
    assert source.class_names == readable_names(wordnet_ids)
    dataset = batches(source, image_size=16, seed=0, start_step=0, global_batch_size=1002)
    images, labels = next(iter(dataset))
    assert sorted(set(labels.numpy())) == list(range(1000))
    in_archive = images_in_training_archive(imagenet_data_dir)
    for image, label in zip(images.numpy(), labels.numpy(), strict=True):
        pixels = np.rint((image + 1) * 127.5)
        # TFDS stores the CMYK and the PNG file as JPEG anew, which moves their levels a little.
        differences = [
            np.abs(pixels - decode_square(data, 16, 3)).mean()
            for data in in_archive[wordnet_ids[label]]
        ]
        assert min(differences) < 3 if len(differences) > 1 else differences == [0]


def images_in_training_archive(data_dir):
    path = data_dir / "downloads" / "manual" / "ILSVRC2012_img_train.tar"
    images = {}
    with tarfile.open(path) as archive:
        for entry in archive:
            content = io.BytesIO(archive.extractfile(entry).read())
            with tarfile.open(fileobj=content) as of_class:
                files = [of_class.extractfile(file).read() for file in of_class]
            images[entry.name.removesuffix(".tar")] = files
    return images


def test_imagenet_validation(imagenet_data_dir):
    source = load_source("imagenet2012", data_dir=str(imagenet_data_dir), split="validation")
    assert source.num_examples == 20
    assert Image.open(io.BytesIO(source.read(0)[0])).format == "JPEG"
