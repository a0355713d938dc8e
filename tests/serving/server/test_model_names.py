import pytest

from sagan_tf.serving.server.model_names import check_model_name


@pytest.mark.parametrize("name", ["sagan", "a model", "v1.2_b-3", "zoé", "..."])
def test_names_that_an_address_can_hold(name):
    check_model_name(name, "`--name`")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "a:b", "a?b", "a#b", "a%2Fb", "a\nb", "a\x00b", "a\udcffb"],
    ids=ascii,
)
def test_names_that_make_an_address_ambiguous(name):
    with pytest.raises(ValueError, match=r"^`--name` must fit between two slashes") as caught:
        check_model_name(name, "`--name`")
    assert str(caught.value).endswith(f"Received: {name!r}")
