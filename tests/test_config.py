import pytest

from sagan_tf import config


def test_the_preset_follows_the_data_set():
    expected = {
        "imagenet2012": "released",
        "imagenet2012/custom": "released",
        "cifar10": "cifar10",
        "digits": "digits",
        "folder:/pictures": "modern",
        "cats_vs_dogs": "modern",
    }
    for dataset, preset in expected.items():
        assert config.resolve({"dataset": dataset}, dataset)[0].preset == preset


def test_released_preset_is_the_published_recipe():
    settings, sources = config.resolve({}, "imagenet2012")
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
    settings, sources = config.resolve({"preset": "paper", "beta_2": 0.5}, "imagenet2012")
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
    assert config.resolve(given, "cats")[0].attention_resolutions == resolutions


def test_workdir_follows_the_data_set():
    assert config.resolve({}, "digits")[0].workdir == "runs/digits"
    assert config.resolve({}, "folder:/my/cats")[0].workdir == "runs/folder--my-cats"


def test_only_what_changes_the_result_must_match():
    before, after = {"steps": 1, "seed": 0, "xla": False}, {"steps": 2, "seed": 1, "xla": False}
    assert config.differences(before, after) == ["seed: 0 -> 1"]
    assert config.differences({}, {"beta_1": 0.5}) == ["beta_1: None -> 0.5"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preset": "fast"}, "`--preset` must be one of .*released.* Received: 'fast'"),
        ({"steps": 0}, "`--steps` must be positive. Received: 0"),
        ({"seed": -1}, r"`--seed` must be in \[0, 2\^63\). Received: -1"),
        ({"ema_decay": 1.0}, r"`--ema_decay` must be in \[0, 1\)"),
        ({"num_replicas": 0}, "`--num_replicas` must be positive"),
        ({"query_chunk_size": 0}, "`--query_chunk_size` must be positive"),
        ({"beta_2": 1.0}, r"`--beta_2` must be in \[0, 1\)"),
        ({"generator_learning_rate": float("nan")}, "`--generator_learning_rate` must be positive"),
        ({"batch_norm_epsilon": 0.0}, "`--batch_norm_epsilon` must be positive"),
        ({"dtype_policy": "mixed_float16"}, "mixed_float16 is not offered: its range ends"),
        ({"dtype_policy": "float64"}, "`--dtype_policy` must be one of"),
        ({"device": "tpu"}, "`--device` must be one of"),
    ],
)
def test_bad_values(given, message):
    with pytest.raises(ValueError, match=message):
        config.resolve(given, "digits")
