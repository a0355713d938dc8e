import pytest

from sagan_tf.run.workdir import KEYS, load_description, write_description


def test_a_description_comes_back(tmp_path):
    description = {**dict.fromkeys(KEYS), "settings": {"seed": 0}, "class_names": ["cat"]}
    write_description(tmp_path / "new", description)
    assert load_description(tmp_path / "new") == description
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["config.json"]


def test_no_run_and_a_damaged_one(tmp_path):
    with pytest.raises(ValueError, match="holds no training run"):
        load_description(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-5.index").touch()
    with pytest.raises(ValueError, match=r"checkpoints, but config\.json is missing\. .*anew"):
        load_description(tmp_path)
    (tmp_path / "config.json").write_text('{"settings": ')
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        load_description(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ValueError, match=r"damaged: it lacks .*'settings'"):
        load_description(tmp_path)
    with pytest.raises(ValueError, match="holds no training run"):
        load_description(tmp_path / "config.json")
