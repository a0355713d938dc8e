import gc
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf.data import batches, load_source, readable_errors
from sagan_tf.data.order import coin_flips
from tests.support.tfds_sets import write_data_set

DIGITS = load_source("digits")


def take(count, **options):
    settings = {
        "image_size": 8,
        "seed": 0,
        "start_step": 0,
        "global_batch_size": 8,
    } | options
    elements = batches(DIGITS, **settings).take(count)
    return [(images.numpy(), labels.numpy()) for images, labels in elements]


def assert_same(first, second):
    for (images, labels), (other_images, other_labels) in zip(first, second, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def test_shapes_types_and_range():
    dataset = batches(DIGITS, image_size=16, seed=0, start_step=0, global_batch_size=32)
    assert dataset.element_spec == (
        tf.TensorSpec((32, 16, 16, 1), tf.float32),
        tf.TensorSpec((32,), tf.int32),
    )
    images, labels = next(iter(dataset))
    assert (tf.reduce_min(images), tf.reduce_max(images)) == (-1, 1)
    assert set(labels.numpy()) <= set(range(10))


def test_all_256_levels_scale_as_published():
    """The pixels of digits at their own size are level * 2/255 - 1, and each end is exact."""
    images, _ = take(1, global_batch_size=1797)[0]
    levels = np.rint((images.astype(np.float64) + 1) * 127.5)
    np.testing.assert_allclose(images, levels * 2 / 255 - 1, atol=1e-6)
    assert len(np.unique(levels)) == 17  # scikit-learn stores 0 to 16


def test_one_epoch_holds_every_digit_once_with_its_label():
    images, labels = take(1, global_batch_size=1797)[0]
    pictures = {image.tobytes() + label.tobytes() for image, label in zip(images, labels)}  # noqa: B905
    stored = DIGITS._images.astype(np.float32) * np.float32(2 / 255) - 1
    expected = {image.tobytes() + label.tobytes() for image, label in zip(stored, DIGITS.labels)}  # noqa: B905
    assert pictures == expected


def test_a_second_run_repeats_the_first_and_another_seed_does_not():
    assert_same(take(5, flip=True), take(5, flip=True))
    assert (take(1)[0][1] != take(1, seed=1)[0][1]).any()


@pytest.mark.parametrize("start_step", [1, 3, 250])  # 250 * 8 lies in the second epoch
def test_resuming_gives_the_tail(start_step):
    whole = take(start_step + 3, flip=True)
    assert_same(take(3, start_step=start_step, flip=True), whole[start_step:])


def test_steps_of_several_batches_are_the_same_batches_in_a_row():
    pairs = take(2, batches_per_step=2)
    singles = take(4)
    assert_same(
        [
            (np.concatenate(parts[0]), np.concatenate(parts[1]))
            for parts in (
                tuple(zip(*singles[:2], strict=True)),
                tuple(zip(*singles[2:], strict=True)),
            )
        ],
        pairs,
    )


@pytest.mark.parametrize("batches_per_step", [1, 2])
def test_replicas_share_what_one_would_see(batches_per_step):
    """Elements go step by step, replica by replica; shares join to the batch of one replica."""
    options = {"start_step": 2, "batches_per_step": batches_per_step, "flip": True}
    shares = take(4, num_replicas=2, **options)
    for step, (images, labels) in enumerate(take(2, **options)):
        parts = shares[2 * step : 2 * step + 2]
        for whole, position in ((images, 0), (labels, 1)):
            # (replica, batch, row, ...) -> (batch, replica, row, ...)
            joined = np.stack(
                [part[position].reshape(batches_per_step, 4, *whole.shape[1:]) for part in parts],
                axis=1,
            )
            np.testing.assert_array_equal(joined.reshape(whole.shape), whole)


def test_a_host_feeds_only_its_replicas():
    of_all = take(8, num_replicas=4)
    assert_same(take(4, num_replicas=4, replicas=(1, 3)), of_all[1::2])


def test_two_replicas_of_a_strategy_get_their_shares():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    dataset = strategy.distribute_datasets_from_function(
        lambda context: batches(
            DIGITS, image_size=8, seed=0, start_step=0, global_batch_size=8, num_replicas=2
        )
    )
    _, labels = next(iter(dataset))
    shares = strategy.experimental_local_results(labels)
    np.testing.assert_array_equal(np.concatenate(shares), take(1)[0][1])


def test_flips_mirror_about_half():
    plain, flipped = (
        take(1, global_batch_size=400)[0][0],
        take(1, global_batch_size=400, flip=True)[0][0],
    )
    changed = (plain != flipped).any(axis=(1, 2, 3))
    assert 0.35 < changed.mean() < 0.65
    np.testing.assert_array_equal(flipped[changed], plain[changed][:, :, ::-1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"global_batch_size": 9, "num_replicas": 2}, "multiple of the number of replicas"),
        ({"global_batch_size": 0}, "`global_batch_size` must be at least 1"),
        ({"start_step": -1}, "`start_step` must be at least 0"),
        ({"batches_per_step": 0}, "`batches_per_step` must be at least 1"),
        ({"num_replicas": 0}, "`num_replicas` must be at least 1"),
        ({"num_replicas": 2, "replicas": (2,)}, "`replicas` must name some of 0 to 1"),
        ({"seed": -1}, "`seed` must lie in"),
        ({"image_size": 0}, "`image_size` must be positive"),
    ],
)
def test_sizes_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        take(1, **options)


def test_damaged_images_are_named_once_and_replaced(image_folder, caplog):
    for name in ("cats/03.png", "dogs/07.png"):
        path = image_folder / name
        path.write_bytes(path.read_bytes()[:200])
    source = load_source(f"folder:{image_folder}")
    options = {"image_size": 8, "seed": 0, "start_step": 0, "global_batch_size": 40}
    first, second = [
        (images.numpy(), labels.numpy()) for images, labels in batches(source, **options).take(2)
    ]
    assert sorted(first[1]) == sorted(second[1]) == [0] * 20 + [1] * 20
    assert len({image.tobytes() for image in first[0]}) == 38
    for name in ("cats/03.png", "dogs/07.png"):
        assert sum(name in record.message for record in caplog.records) == 1
    repeated = next(iter(batches(source, **options)))
    np.testing.assert_array_equal(repeated[0], first[0])


def test_images_that_fit_into_memory_are_read_once(image_folder):
    source = load_source(f"folder:{image_folder}")
    options = {"image_size": 8, "seed": 0, "start_step": 0, "global_batch_size": 30, "flip": True}
    read = []
    files = source.read
    source.read = lambda index: (read.append(index), files(index))[1]

    def epochs(keep_bytes):
        read.clear()
        elements = list(batches(source, keep_bytes=keep_bytes, **options).take(8))
        return [(images.numpy(), labels.numpy()) for images, labels in elements], sorted(read)

    bytes_needed = 40 * 8 * 8 * source.channels
    kept, read_once = epochs(bytes_needed)
    every_epoch, read_again = epochs(bytes_needed - 1)
    assert_same(kept, every_epoch)
    assert set(read_once) == set(read_again) == set(range(40))
    # Three elements are started before the first one is kept; the fourth misses at most ten images.
    assert len(read_once) <= 3 * 30 + 10
    assert len(read_again) >= 8 * 30


def test_too_many_damaged_images_stop_the_run_and_are_all_listed(
    image_folder, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    damaged = sorted((image_folder / "cats").iterdir())
    for path in damaged:
        path.write_bytes(b"no image")
    source = load_source(f"folder:{image_folder}")
    dataset = batches(source, image_size=8, seed=0, start_step=0, global_batch_size=40)
    message = "20 of the 40 images looked at in .* unreadable, more than the 1%.*All are listed in"
    with pytest.raises(ValueError, match=message) as stopped, readable_errors(source):
        next(iter(dataset))
    (listing,) = tmp_path.glob("unreadable-images-*.txt")
    assert f"All are listed in {listing}." in str(stopped.value)
    lines = listing.read_text().splitlines()
    assert lines == [f"{path} (no image format that Pillow knows)" for path in damaged]
    named = [record for record in caplog.records if "passed over" in record.message]
    assert len(named) == 10  # and then the list


def test_other_errors_pass_unchanged():
    with pytest.raises(tf.errors.InvalidArgumentError), readable_errors(DIGITS):
        tf.reshape(tf.zeros(3), (2,))


def test_a_reading_thread_may_collect_the_iterator_it_reads_for(image_folder, monkeypatch):
    """The garbage collector runs in any thread; TensorFlow's own `prefetch` would block here."""
    source = load_source(f"folder:{image_folder}")
    read, dropped, collected = source.read, threading.Event(), threading.Event()
    first = threading.Lock()  # Python ignores a collection that starts during another

    def read_and_collect(index):
        if dropped.wait(0.02) and first.acquire(blocking=False):
            gc.collect()
            collected.set()
        return read(index)

    monkeypatch.setattr(source, "read", read_and_collect)
    gc.disable()
    try:
        cycle = [iter(batches(source, image_size=8, seed=0, start_step=0, global_batch_size=40))]
        next(cycle[0])
        cycle.append(cycle)
        del cycle
        dropped.set()
        assert collected.wait(20)
    finally:
        gc.enable()


@pytest.fixture
def unequal(tmp_path):
    """37 images of class a, 2 of b and 1 of c, each of one flat colour of its own."""
    for name, count in (("a", 37), ("b", 2), ("c", 1)):
        (tmp_path / name).mkdir()
        for number in range(count):
            colour = (ord(name), number, 0)
            Image.new("RGB", (8, 8), colour).save(tmp_path / name / f"{number:02d}.png")
    return load_source(f"folder:{tmp_path}")


def take_balanced(source, count, **options):
    settings = {"image_size": 8, "seed": 0, "start_step": 0, "global_batch_size": 6} | options
    elements = batches(source, class_balanced=True, **settings).take(count)
    return [(images.numpy(), labels.numpy()) for images, labels in elements]


def test_balanced_batches_hold_every_class_equally_often(unequal):
    elements = take_balanced(unequal, 37)
    for _, labels in elements:
        assert sorted(labels) == [0, 0, 1, 1, 2, 2]
    levels = np.rint((np.concatenate([images[:, 0, 0] for images, _ in elements]) + 1) * 127.5)
    colours, counts = np.unique(levels.astype(int), axis=0, return_counts=True)
    # 74 visits to each class, shared evenly among its images.
    assert counts.tolist() == [2] * 37 + [37, 37] + [74]
    assert colours[:, 0].tolist() == [97] * 37 + [98, 98] + [99]


def test_balanced_runs_resume_and_share_like_others(unequal):
    whole = take_balanced(unequal, 9, flip=True)
    assert_same(take_balanced(unequal, 4, start_step=5, flip=True), whole[5:])
    shares = take_balanced(unequal, 18, num_replicas=2, flip=True)
    joined = [
        tuple(np.concatenate(parts) for parts in zip(*shares[at : at + 2], strict=True))
        for at in range(0, 18, 2)
    ]
    assert_same(joined, whole)
    several = take_balanced(unequal, 3, batches_per_step=3, flip=True)
    joined = [
        tuple(np.concatenate(parts) for parts in zip(*whole[at : at + 3], strict=True))
        for at in range(0, 9, 3)
    ]
    assert_same(joined, several)


def test_flips_belong_to_positions_in_balanced_runs(image_folder):
    source = load_source(f"folder:{image_folder}")
    options = {"image_size": 8, "global_batch_size": 400}
    plain = take_balanced(source, 1, **options)[0][0]
    flipped = take_balanced(source, 1, flip=True, **options)[0][0]
    changed = (plain != flipped).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(changed, coin_flips(np.arange(400), seed=0))


def test_balancing_reads_labels_that_are_not_known(tmp_path):
    write_data_set(tmp_path, "pets", "array_record")
    source = load_source("pets", data_dir=str(tmp_path), split="train[:25]")
    assert source.labels is None
    assert sorted(take_balanced(source, 1)[0][1]) == [0, 0, 1, 1, 2, 2]
    assert len(source.labels) == 25


def test_classes_without_images_cannot_be_balanced():
    source = load_source("digits")
    source.class_names = (*source.class_names, "ten", "eleven")
    options = {"image_size": 8, "seed": 0, "start_step": 0, "global_batch_size": 6}
    with pytest.raises(
        ValueError, match=r"2 of 12 classes have none: ten, eleven\. Choose a split"
    ):
        batches(source, class_balanced=True, **options)
    batches(source, **options)
