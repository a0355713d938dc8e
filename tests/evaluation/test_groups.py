import json
from pathlib import Path

import pytest

import sagan_tf
from sagan_tf.data.imagenet import readable_names, wordnet_ids
from sagan_tf.evaluation.groups import group_means, read_groups

DATA = Path(sagan_tf.__file__).parent / "data"


def test_reads_names_and_numbers(tmp_path):
    (tmp_path / "groups").write_text(json.dumps({"round": ["0", "eight"], "straight": [1]}))
    groups = read_groups(str(tmp_path / "groups"), ("0", "1", "eight"))
    assert groups == {"round": [0, 2], "straight": [1]}
    assert group_means({0: 1.0, 2: 4.0}, groups) == {"round": 2.5}


@pytest.mark.parametrize(
    "text", ["[1]", "{", '{"a": 1}', '{"a": []}', '{"a": ["x"]}', '{"a": [9]}']
)
def test_what_is_no_grouping(tmp_path, text):
    (tmp_path / "groups").write_text(text)
    with pytest.raises(ValueError, match="`--groups`"):
        read_groups(str(tmp_path / "groups"), ("0", "1"))


def test_imagenet_s_animals_and_geological_formations():
    lines = (DATA / "imagenet_classes.tsv").read_text().splitlines()
    identifiers = tuple(line.split("\t")[0] for line in lines)
    names = readable_names(identifiers)
    assert wordnet_ids(names) == identifiers
    groups = read_groups("imagenet", names)
    # Those of SAGAN's paper, and that the first 398 classes are animals is well known.
    formations = {names[number] for number in groups["geological formations"]}
    assert formations >= {"alp", "cliff", "coral reef", "lakeside", "seashore", "volcano"}
    assert "bubble" not in formations
    assert groups["animals"] == list(range(398))
    with pytest.raises(ValueError, match=r"is for ImageNet's classes. Received classes such as"):
        read_groups("imagenet", ("0", "1"))
