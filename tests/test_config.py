import dataclasses
import re

import pytest

from sagan_tf import config
from sagan_tf.data.registry import KINDS
from sagan_tf.training.augmentation import POLICIES


def test_the_preset_follows_the_data_set():
    expected = {
        "imagenet2012": "released",
        "imagenet2012/custom": "released",
        "cifar10": "cifar10",
        "digits": "digits",
        "folder:/pictures": "modern",
        "cats_vs_dogs": "modern",
        "fashion_mnist": "fashion_mnist",
        "robohash": "robohash",
        "geotex": "geotex",
    }
    for dataset, preset in expected.items():
        assert config.resolve({"dataset": dataset})[0].preset == preset


@pytest.mark.parametrize(
    ("dataset", "num_images", "preset"),
    [
        ("folder:/cats", 2000, "small"),
        ("folder:/cats", 99_999, "small"),
        ("folder:/cats", 100_000, "modern"),
        ("cifar10", 100, "cifar10"),
    ],
)
def test_few_own_pictures_have_a_preset(dataset, num_images, preset):
    assert config.resolve({"dataset": dataset}, num_images=num_images)[0].preset == preset
    assert (
        config.resolve({"dataset": dataset, "preset": "paper"}, num_images=num_images)[0].preset
        == "paper"
    )


def test_published_presets_have_none_of_what_they_did_not_publish():
    for preset in ("released", "paper", "cifar10", "modern"):
        settings, _ = config.resolve({"preset": preset, "dataset": "cats"})
        assert settings.dense_bias
        assert settings.discriminator_base_filters is None
        assert settings.augment == ()
        assert not settings.adaptive_augment
        assert settings.consistency_weight == settings.lecam_weight == settings.r1_weight == 0
        assert (settings.schedule, settings.label_distribution) == ("constant", "uniform")
        assert not settings.class_balanced
        assert settings.ema_half_life == settings.freeze_discriminator == 0


def test_the_flag_knows_every_augmentation():
    assert set(config.AUGMENTATIONS) == set(POLICIES)


def test_one_way_to_average_takes_the_place_of_the_presets():
    settings, _ = config.resolve({"ema_half_life": 1000, "dataset": "digits"})
    assert (settings.ema_decay, settings.ema_half_life) == (0, 1000)
    settings, _ = config.resolve({"preset": "small", "ema_decay": 0.9, "dataset": "digits"})
    assert (settings.ema_decay, settings.ema_half_life) == (0.9, 0)
    settings, _ = config.resolve({"preset": "small", "ema_decay": 0.0, "dataset": "digits"})
    assert not settings.averaged


def test_without_classes_the_presets_wishes_for_classes_are_dropped():
    preset, _ = config.resolve({"preset": "small", "dataset": "digits"})
    assert preset.label_distribution == "data"
    settings, _ = config.resolve({"preset": "small", "conditional": False, "dataset": "digits"})
    assert settings.label_distribution == "uniform"


def test_released_preset_is_the_published_recipe():
    settings, sources = config.resolve({"dataset": "imagenet2012"})
    assert (settings.image_size, settings.base_filters, settings.global_batch_size) == (
        128,
        64,
        256,
    )
    assert settings.generator_learning_rate == 1e-4
    assert settings.discriminator_learning_rate == 4e-4
    assert (settings.beta_1, settings.beta_2, settings.d_steps) == (0.0, 0.999, 1)
    assert settings.attention_resolutions == (32,)
    assert (settings.flip, settings.ema_decay, settings.sync_batch_norm) == (False, 0.0, False)
    assert "released" in sources["beta_2"]
    assert sources["workdir"] == "default"


def test_flags_win_over_the_preset_and_the_preset_over_the_defaults():
    settings, sources = config.resolve(
        {"preset": "paper", "beta_2": 0.5, "dataset": "imagenet2012"}
    )
    assert settings.beta_2 == 0.5
    assert sources["beta_2"] == "flag"
    assert settings.value_ratio == 8
    assert "section 3" in sources["value_ratio"]


def test_every_value_of_a_preset_differs_from_the_default_and_has_a_source():
    for name, preset in config.PRESETS.items():
        for setting, (value, source) in preset.items():
            assert source, (name, setting)
            assert value != getattr(config.TrainSettings(), setting), (name, setting)


@pytest.mark.parametrize(
    ("given", "resolutions"),
    [
        ({"preset": "released", "image_size": 64}, (16,)),
        ({"preset": "released", "image_size": 32}, (8,)),
        ({"preset": "released", "image_size": 16}, (8,)),
        ({"preset": "modern", "image_size": 256}, (128,)),
        ({"preset": "released", "image_size": 64, "attention_resolutions": ()}, ()),
    ],
)
def test_attention_follows_the_image_size(given, resolutions):
    assert config.resolve({**given, "dataset": "cats"})[0].attention_resolutions == resolutions


def test_workdir_follows_the_data_set():
    assert config.resolve({"dataset": "digits"})[0].workdir == "runs/digits"
    assert config.resolve({"dataset": "folder:/my/cats"})[0].workdir == "runs/folder--my-cats"


def test_only_what_changes_the_result_must_match():
    before, after = {"steps": 1, "seed": 0, "xla": False}, {"steps": 2, "seed": 1, "xla": False}
    assert config.differences(before, after) == ["seed: 0 -> 1"]
    assert config.differences({}, {"beta_1": 0.5}) == ["beta_1: None -> 0.5"]
    # Rates that fall to 0 at the last step are others if that is another one.
    before, after = ({"steps": steps, "schedule": "linear"} for steps in (1, 2))
    assert config.differences(before, after) == ["steps: 1 -> 2"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preset": "fast"}, "`--preset` must be one of .*released.* Received: 'fast'"),
        ({"steps": 0}, "`--steps` must be at least 1. Received: 0"),
        ({"seed": -1}, r"`--seed` must be in \[0, 9223372036854775808\). Received: -1"),
        ({"ema_decay": 1.0}, r"`--ema_decay` must be in \[0, 1\)"),
        ({"num_replicas": 0}, "`--num_replicas` must be at least 1"),
        ({"query_chunk_size": 0}, "`--query_chunk_size` must be at least 1"),
        ({"beta_2": 1.0}, r"`--beta_2` must be in \[0, 1\)"),
        ({"generator_learning_rate": float("nan")}, "`--generator_learning_rate` must be above 0"),
        ({"batch_norm_epsilon": 0.0}, "`--batch_norm_epsilon` must be above 0"),
        ({"dtype_policy": "mixed_float16"}, "mixed_float16 is not offered: its range is"),
        ({"dtype_policy": "float64"}, "`--dtype_policy` must be one of"),
        ({"device": "tpu"}, "`--device` must be one of"),
        ({"schedule": "step"}, "`--schedule` must be one of"),
        ({"label_distribution": "normal"}, "`--label_distribution` must be one of"),
        ({"augment": ("blur",)}, "`--augment` expects some of color, translation, cutout"),
        ({"augment": ("color", "color")}, "each once. Received: color,color"),
        ({"adaptive_augment": True}, "`--adaptive_augment` needs `--augment`"),
        ({"augment_target": 1.5}, "`--augment_target` must be between -1 and 1"),
        ({"augment_ramp_images": 0}, "`--augment_ramp_images` must be at least 1"),
        (
            {"consistency_weight": -1.0},
            "`--consistency_weight` must be at least 0 and finite. Received: -1.0",
        ),
        ({"lecam_weight": -0.1}, "`--lecam_weight` must be at least 0"),
        ({"r1_weight": float("nan")}, "`--r1_weight` must be at least 0 and finite. Received: nan"),
        ({"r1_interval": 0}, "`--r1_interval` must be at least 1"),
        ({"ema_ramp": -1.0}, "`--ema_ramp` must be at least 0"),
        (
            {"class_balanced": True, "label_distribution": "data"},
            "Only one of `--class_balanced` and `--label_distribution=data`",
        ),
        ({"ema_decay": 0.9, "ema_half_life": 9}, "Only one of `--ema_decay` and `--ema_half_life`"),
        ({"r1_weight": 1.0, "query_chunk_size": 64}, "leave out `--query_chunk_size`"),
        ({"freeze_discriminator": 1}, "which `--init_from` must name"),
        ({"class_balanced": True, "conditional": False}, "need classes. Received: --noconditional"),
        ({"discriminator_base_filters": 0}, "`--discriminator_base_filters` must be at least 1"),
        ({"time": True}, "`--time` is for `--dry_run`. Leave it out"),
        ({"eval_images": 9}, "`--eval_images` is for `--eval_every`"),
        ({"augment": ("color",), "augment_target": 0.5}, "is for `--adaptive_augment`"),
        ({"augment_ramp_images": 9}, "is for `--adaptive_augment`"),
        ({"r1_interval": 4}, "`--r1_interval` is for `--r1_weight`"),
        ({"ema_ramp": 0.1}, "`--ema_ramp` is for `--ema_half_life`"),
        ({"ema_decay": 0.0, "ema_start_step": 9}, "is for `--ema_decay` and `--ema_half_life`"),
    ],
)
def test_bad_values(given, message):
    with pytest.raises(ValueError, match=message):
        config.resolve({**given, "dataset": "digits"})


def test_the_help_names_every_data_set_and_every_preset():
    fields = {field.name: field for field in dataclasses.fields(config.TrainSettings)}
    for name in KINDS:
        assert re.search(rf"\b{name}\b", fields["dataset"].metadata["help"])
    for name in config.PRESETS:
        assert re.search(rf"\b{name}\b", fields["preset"].metadata["help"])
