from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from sagan_tf.data import batches, describe_source, load_source
from sagan_tf.data import robohash as module
from sagan_tf.data.order import shuffled_indices
from sagan_tf.data.robohash import CLASS_NAMES, SPLITS, choose_parts

# Of version 2.0: parts from the bottom up, and the colours of robots.
PARTS = [[10] * 5, [10, 10, 16, 10, 10, 10, 10], [90, 1, 10, 12, 12, 11, 9], [15, 10, 15, 10, 16]]
VARIANTS = [10, 1, 1, 1]


@pytest.fixture(scope="module")
def source():
    """The training split at 32 pixels, whose layers take seconds to load."""
    return load_source("robohash")


def test_splits_labels_and_names(source):
    assert (source.name, source.num_examples, source.channels) == ("robohash", 50_000, 3)
    assert (source.image_size, source.class_names) == (32, ("robot", "monster", "head", "cat"))
    for index in (0, 1, 49_998, 49_999):
        image, label = source.read(index)
        assert (image.shape, image.dtype) == ((32, 32, 3), np.uint8)
        assert label == source.labels[index] == index % 4
    test = load_source("robohash", split="test")
    assert (test.num_examples, test.read(2)[1]) == (10_000, 2)
    with pytest.raises(IndexError):
        test.read(10_000)


def test_an_image_is_a_function_of_its_index_in_any_thread(source):
    again = load_source("robohash")
    with ThreadPoolExecutor(8) as threads:
        images = list(threads.map(lambda index: again.read(index)[0].tobytes(), range(400)))
    assert images == [source.read(index)[0].tobytes() for index in range(400)]
    assert len(set(images)) > 390  # a few differ only in what a hat hides


def test_batches_are_the_composed_levels(source):
    dataset = batches(source, image_size=32, seed=0, start_step=0, global_batch_size=8)
    images, labels = next(iter(dataset))
    levels = np.rint((images.numpy() + 1) * 127.5).astype(np.uint8)
    for image, index in zip(levels, shuffled_indices(np.arange(8), 50_000, seed=0), strict=True):
        np.testing.assert_array_equal(image, source.read(index)[0])
    assert labels.numpy().tolist() == (shuffled_indices(np.arange(8), 50_000, 0) % 4).tolist()


@pytest.mark.parametrize("label", range(4))
def test_no_combination_comes_twice_in_both_splits_together(source, label):
    variants = source._layers[label]
    assert [len(part) for part in variants[0]] == PARTS[label]
    assert len(variants) == VARIANTS[label]
    indices = np.arange(label, SPLITS["test"].stop, 4)
    choices = choose_parts(indices, label, PARTS[label], VARIANTS[label])
    assert len(np.unique(choices, axis=0)) == len(indices) == 15_000


@pytest.mark.parametrize("label", range(4))
def test_parts_are_chosen_evenly_and_independently(label):
    """Chi-square of every part's counts, and of those of every pair of parts."""
    sizes = [VARIANTS[label], *PARTS[label]]
    choices = choose_parts(np.arange(0, 60_000, 4), label, PARTS[label], VARIANTS[label])
    for first in range(len(sizes)):
        for second in range(first + 1, len(sizes)):
            cells = sizes[first] * sizes[second]
            joint = choices[:, first] * sizes[second] + choices[:, second]
            counts = np.bincount(joint, minlength=cells)
            expected = len(choices) / cells
            chi_square = ((counts - expected) ** 2 / expected).sum()
            assert chi_square < cells - 1 + 5 * np.sqrt(2 * cells)


def write_sets(root, layers):
    """Writes layers as the package keeps them: one set of parts each, robots in two colours."""
    for number in (1, 2, 3, 4):
        for colour in ("blue", "red") if number == 1 else ("",):
            for part, pictures in layers.items():
                folder = root / f"set{number}" / colour / part
                folder.mkdir(parents=True)
                for index, pixels in enumerate(pictures):
                    Image.fromarray(pixels).save(folder / f"{index:03d}#.png")


@pytest.fixture
def compose(tmp_path, monkeypatch):
    """Composes image 0 of given layers."""

    def compose(layers, image_size=32):
        write_sets(tmp_path, layers)
        monkeypatch.setattr(module, "_sets_folder", lambda: tmp_path)
        return load_source("robohash", image_size=image_size).read(0)[0]

    return compose


def plain(colour, size=64):
    return np.full((size, size, 4), colour, np.uint8)


def test_parts_lie_in_the_order_of_their_second_number(compose):
    """Half-transparent blue on opaque red on white: (128, 0, 127) to a level."""
    bottom, top = plain((255, 0, 0, 255)), plain((0, 0, 255, 128))
    image = compose({"000#02Face": [top], "001#01Body": [bottom]})
    assert np.abs(image.astype(int) - [127, 0, 128]).max() <= 1


def test_invisible_pixels_do_not_darken_edges(compose):
    """A white disc on transparent black, on white, is white; averaged plainly it has grey edges."""
    rows, columns = np.indices((300, 300)) - 150
    disc = plain((0, 0, 0, 0), 300)
    disc[rows**2 + columns**2 < 120**2] = 255
    assert compose({"000#01Body": [disc]}).min() == 255


def test_edges_are_averaged_over_all_pixels(compose):
    """Black and white lines of one pixel become an even grey, where picking pixels would not."""
    lines = plain((0, 0, 0, 255), 320)
    lines[::2, :, :3] = 255
    assert np.abs(compose({"000#01Body": [lines]})[2:-2].astype(int) - 128).max() <= 2


def test_an_empty_alternative_shows_nothing(compose):
    image = compose({"000#01Body": [plain((9, 9, 9, 0))]}, image_size=40)
    np.testing.assert_array_equal(image, np.full((40, 40, 3), 255))


@pytest.mark.parametrize("label", range(4))
def test_scaling_first_gives_what_scaling_last_would(source, label):
    """Layers joined by Pillow at full size, then shrunk, differ by little and only at edges."""
    folder = module._sets_folder() / f"set{label + 1}"
    for index in range(label, label + 40, 4):
        variant, *alternatives = source._choices[label][index]
        colour = sorted(folder.iterdir())[variant] if label == 0 else folder
        parts = sorted(colour.iterdir(), key=lambda part: part.name.split("#")[1])
        joined = None
        for part, alternative in zip(parts, alternatives, strict=True):
            layer = Image.open(sorted(part.iterdir())[alternative]).convert("RGBA")
            joined = joined or Image.new("RGBA", layer.size, "white")
            joined.alpha_composite(layer)
        expected = joined.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
        difference = np.abs(np.asarray(expected, float) - source.read(index)[0])
        assert difference.mean() < 2
        assert np.median(difference) <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "all"}, r"one of \['train', 'test'\] of robohash.*split='all'"),
        ({"image_size": 16}, "`image_size` of at least 32. Received: image_size=16"),
    ],
)
def test_what_is_not_composed(options, message):
    with pytest.raises(ValueError, match=message):
        load_source("robohash", **options)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"no such package.*pip install 'sagan_tf\[robohash\]'"):
        load_source("robohash")
    # What it holds is known all the same.
    description = describe_source("robohash")
    assert (description.class_names, description.channels) == (CLASS_NAMES, 3)


def test_it_is_not_resized(source):
    with pytest.raises(ValueError, match=r"drawn at size 32. Received: image_size=64"):
        batches(source, image_size=64, seed=0, start_step=0, global_batch_size=8)
