import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import sampling
from sagan_tf.latent import NUM_DIRECTIONS
from sagan_tf.latent.directions import directions
from sagan_tf.latent.drawing import draw
from sagan_tf.models import Generator
from sagan_tf.serving.exporting.folding import FoldedGenerator
from sagan_tf.serving.exporting.signatures import INPUTS, make_signatures

SEEDS = np.array([0, 7, 1234, 2**53 - 1])
CLASSES = np.array([0, 3, 3, 9], np.int32)


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(str(exported / "1")).signatures


@pytest.fixture(scope="module")
def generator(digits):
    return sampling.load_generator(digits)


def call(signature, **inputs):
    dtypes = {spec.name: spec.dtype for spec in signature.structured_input_signature[1].values()}
    tensors = {name: tf.constant(value, dtypes[name]) for name, value in inputs.items()}
    return {name: value.numpy() for name, value in signature(**tensors).items()}


def pixels(pngs):
    return np.stack([tf.io.decode_png(png).numpy() for png in pngs])


def sampled(generator, truncation=np.inf):
    return np.stack(list(sampling.sample(generator, SEEDS, CLASSES, truncation)))


def test_every_signature_has_named_inputs_and_a_batch_first(signatures):
    assert set(signatures) == set(INPUTS)
    for name, signature in signatures.items():
        assert set(signature.structured_input_signature[1]) == set(INPUTS[name])
        assert len(signature.structured_outputs) > 1  # REST then keeps their names
        for output in signature.structured_outputs.values():
            assert output.shape.rank >= 1
            assert output.shape[0] is None
            assert output.dtype != tf.float16


@pytest.mark.parametrize("truncation", [np.inf, 0.5])
def test_images_are_those_of_the_checkpoint(signatures, generator, truncation):
    inputs = {"class_id": CLASSES, "seed": SEEDS, "truncation": np.full(4, truncation)}
    expected = sampled(generator, truncation)
    outputs = call(signatures["images"], **inputs)
    assert outputs["images"].dtype == np.float32
    np.testing.assert_array_equal(outputs["seed"], SEEDS)
    np.testing.assert_array_equal(outputs["class_id"], CLASSES)
    difference = sampling.to_uint8(outputs["images"]).astype(int) - expected
    assert np.abs(difference).max() <= 1
    pngs = call(signatures["serving_default"], **inputs)["image_bytes"]
    np.testing.assert_array_equal(pixels(pngs), sampling.to_uint8(outputs["images"]))


def test_sample_does_not_truncate(signatures):
    inputs = {"class_id": CLASSES, "seed": SEEDS}
    endless = call(signatures["serving_default"], **inputs, truncation=np.full(4, np.inf))
    outputs = call(signatures["sample"], **inputs)
    np.testing.assert_array_equal(outputs["image_bytes"], endless["image_bytes"])


def test_a_row_is_the_same_in_every_batch(signatures):
    together = pixels(call(signatures["sample"], class_id=CLASSES, seed=SEEDS)["image_bytes"])
    for index in range(4):
        one = slice(index, index + 1)
        alone = call(signatures["sample"], class_id=CLASSES[one], seed=SEEDS[one])["image_bytes"]
        assert np.abs(pixels(alone)[0].astype(int) - together[index]).max() <= 1


def test_from_latent_with_the_latents_of_seeds(signatures, generator):
    latents = sampling.latents_from_seeds(SEEDS, generator.latent_dim)
    outputs = call(signatures["from_latent"], class_id=CLASSES, latents=latents)
    seeded = call(signatures["sample"], class_id=CLASSES, seed=SEEDS)["image_bytes"]
    np.testing.assert_array_equal(outputs["image_bytes"], seeded)
    np.testing.assert_array_equal(pixels(seeded), sampling.to_uint8(outputs["images"]))


def test_interpolation_goes_from_one_end_to_the_other(signatures, generator):
    outputs = call(
        signatures["interpolate"],
        class_id=[3] * 5,
        class_id_to=[9] * 5,
        seed=[7] * 5,
        seed_to=[1234] * 5,
        fraction=np.linspace(0, 1, 5),
    )
    expected = sampling.interpolate(generator, (7, 1234), (3, 9), steps=5)
    assert np.abs(pixels(outputs["image_bytes"]).astype(int) - expected).max() <= 1


def test_without_amounts_it_is_the_sample_byte_by_byte(signatures):
    inputs = {"class_id": CLASSES, "seed": SEEDS}
    outputs = call(signatures["directions"], **inputs, amounts=np.zeros((4, NUM_DIRECTIONS)))
    expected = call(signatures["sample"], **inputs)
    assert outputs.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(outputs[name], value)


def test_amounts_move_along_directions_as_the_latent_command_does(signatures, generator):
    """Row k moves along direction k alone, as a sheet and `--along` do; the last along two."""
    amounts = [[-4, 0, 0, 0], [0, 2.5, 0, 0], [0, 0, 4, 0], [1, 0, 0, -3]]
    inputs = {"class_id": CLASSES, "seed": SEEDS, "amounts": amounts}
    moved = pixels(call(signatures["directions"], **inputs)["image_bytes"]).astype(int)
    starts = sampling.latents_from_seeds(SEEDS, generator.latent_dim).numpy()
    found = [directions(generator, count)[-1] for count in range(1, 5)]
    latents = np.stack(
        [
            starts[0] - 4 * found[0],
            starts[1] + 2.5 * found[1],
            starts[2] + 4 * found[2],
            starts[3] + found[0] - 3 * found[3],
        ]
    )
    assert np.abs(moved - draw(generator, latents, CLASSES)).max() <= 1
    assert (moved != sampled(generator)).any(axis=(1, 2, 3)).all()


def test_attention_of_a_point(signatures):
    place = {"row": [0, 5, 15, 8], "col": [0, 9, 15, 8]}
    outputs = call(signatures["attention"], class_id=CLASSES, seed=SEEDS, **place)
    assert outputs["scores_8"].shape == (4, 4, 4)
    np.testing.assert_allclose(outputs["scores_8"].sum(axis=(1, 2)), 1, rtol=1e-5)
    seeded = call(signatures["sample"], class_id=CLASSES, seed=SEEDS)["image_bytes"]
    np.testing.assert_array_equal(pixels(outputs["image_bytes"]), pixels(seeded))
    overlays = pixels(outputs["overlay_8_bytes"])
    assert overlays.shape == (4, 16, 16, 3)
    for index in range(4):  # the point is green, and the only place that is
        green = (overlays[index] == [0, 255, 0]).all(axis=-1)
        assert np.argwhere(green).tolist() == [[place["row"][index], place["col"][index]]]


def test_attention_of_a_truncated_image(signatures):
    place = {"row": [0, 5, 15, 8], "col": [0, 9, 15, 8]}
    inputs = {"class_id": CLASSES, "seed": SEEDS, "truncation": [0.1, 0.5, 1.0, np.inf]}
    outputs = call(signatures["attention_truncated"], **inputs, **place)
    expected = call(signatures["serving_default"], **inputs)
    np.testing.assert_array_equal(pixels(outputs["image_bytes"]), pixels(expected["image_bytes"]))
    endless = call(signatures["attention"], class_id=CLASSES, seed=SEEDS, **place)
    same = (outputs["scores_8"] == endless["scores_8"]).all(axis=(1, 2))
    assert same.tolist() == [False, False, False, True]


def test_overlay_is_brightest_where_the_point_looks(signatures):
    outputs = call(signatures["attention"], class_id=[3], seed=[7], row=[0], col=[0])
    scores = outputs["scores_8"][0]
    overlay, image = pixels(outputs["overlay_8_bytes"])[0], pixels(outputs["image_bytes"])[0]
    blue = overlay[..., 2] - image[..., 0].astype(float)  # heat has none of it
    strongest = np.unravel_index(scores.argmax(), scores.shape)
    centre = tuple(4 * place + 2 for place in strongest)
    assert overlay[(*centre, 2)] <= 0.4 * image[(*centre, 0)]
    assert blue.max() <= 1


def test_class_names(signatures):
    outputs = call(signatures["class_names"], class_id=[9, 0])
    assert outputs["class_name_bytes"].tolist() == [b"9", b"0"]
    assert outputs["num_classes"].tolist() == [10, 10]


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("sample", {"class_id": [1, 10, -2]}, r"class must be in \[0, 9\]. Received:\] \[10 -2\]"),
        ("sample", {"seed": [0, -5, 1]}, r"seed must not be negative. Received:\] \[-5\]"),
        ("sample", {"seed": [0, 1]}, r"`class_id`, `seed` need one value per image.* \[3 2\]"),
        ("sample", {"seed": [], "class_id": []}, r"at least one image. .* \[0 0\]"),
        ("sample", {"seed": [[0, 1, 2]]}, "not compatible with expected shape"),
        ("serving_default", {"truncation": [1, 0, 1]}, r"`truncation` must be .*\] \[0\]"),
        ("serving_default", {"truncation": [1, np.nan, 1]}, r"`truncation` must be .*\] \[nan\]"),
        ("from_latent", {"latents": np.full((3, 8), np.inf)}, r"`latents` must be finite"),
        ("from_latent", {"latents": np.tile([1e20, -1e20], (3, 4))}, r"`latents` are too large"),
        ("directions", {"amounts": np.full((3, 4), np.nan)}, r"`amounts` must be finite"),
        ("directions", {"amounts": np.full((3, 4), 1e38)}, r"`amounts` are too large"),
        ("directions", {"amounts": np.zeros((3, 3))}, "not compatible with expected shape"),
        ("directions", {"amounts": np.zeros((2, 4))}, r"need one value per image.* \[3 3 2\]"),
        ("interpolate", {"fraction": [0, 1.5, np.nan]}, r"`fraction` must .*\] \[1.5 nan\]"),
        ("interpolate", {"class_id_to": [0, 0, 10]}, r"class must be in \[0, 9\]"),
        ("interpolate", {"seed_to": [0, 0, -1]}, r"seed must not be negative"),
        ("attention", {"row": [0, 16, 0]}, r"`row` and `col` .*\[0, 15\]. Received:\] \[16\]"),
        ("attention", {"col": [0, -1, 0]}, r"`row` and `col` .*\] \[-1\]"),
        ("class_names", {"class_id": [10]}, r"class must be in \[0, 9\]"),
    ],
)
def test_bad_input_is_named_and_nothing_else(signatures, name, changed, message):
    good = {name: np.zeros(3) for name in INPUTS[name]} | {"truncation": np.ones(3)}
    good |= {"latents": np.zeros((3, 8)), "amounts": np.zeros((3, 4))}
    inputs = {key: changed.get(key, good[key]) for key in INPUTS[name]}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call(signatures[name], **inputs)


def test_without_classes_and_attention_there_are_fewer_signatures():
    generator = Generator(16, None, base_filters=4, latent_dim=8)
    generator.build()
    signatures = make_signatures(FoldedGenerator(generator), (), directions(generator, 3))
    assert set(signatures) == set(INPUTS) - {
        "class_names",
        "attention",
        "attention_truncated",
    }
    assert [spec.name for spec in signatures["interpolate"].input_signature] == [
        "seed",
        "seed_to",
        "fraction",
    ]
    assert signatures["directions"].input_signature[1].shape == (None, 3)
    images = signatures["images"](tf.constant(SEEDS), tf.ones(4))["images"]
    latents = sampling.latents_from_seeds(SEEDS, 8, 1.0)
    np.testing.assert_allclose(images, generator(latents), atol=1e-5)
