import pytest

from sagan_tf.serving.server.model_config import ModelConfig, read_model_configs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name each of its models"),
        ("model_config_list { config { base_path: '/' } }", "must name each of its models"),
        (
            "model_config_list { config { name: 'a' } config { name: 'a' } }",
            r"no two alike. Received: \['a', 'a'\]",
        ),
        (
            "model_config_list { config { name: 'a' } config { name: 'a/b' } }",
            "A model's name in `--model_config_file` .*/c must fit between .* Received: 'a/b'",
        ),
        ("model_config_list { config { name: 1 } }", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_config_that_cannot_be_read(tmp_path, text, message):
    if text is not None:
        (tmp_path / "c").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_model_configs(tmp_path / "c")


@pytest.mark.parametrize(
    ("sizes", "large"), [((), False), ((2**22,), False), ((2**21, 2**22), True)]
)
def test_weights_are_large_beyond_4_mib(tmp_path, sizes, large):
    for version in (1, 2):
        (tmp_path / str(version) / "variables").mkdir(parents=True)
    (tmp_path / "1" / "variables" / "variables.data").write_bytes(bytes(2**23))  # not the newest
    for index, size in enumerate(sizes):
        (tmp_path / "2" / "variables" / str(index)).write_bytes(bytes(size))
    assert ModelConfig("a", tmp_path).is_large() == large
