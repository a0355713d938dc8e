"""With the real client, huggingface_hub, and a Hub on loopback."""

import json

import numpy as np
import pytest
from huggingface_hub import constants

from sagan_tf import evaluate, pretrained, publish, sampling
from sagan_tf.evaluate import EvaluateSettings
from sagan_tf.pretrained import hub
from sagan_tf.publish import PublishSettings
from tests.support import fake_hub

ADDRESS = "hf://owner/digits"


def point_at(url, monkeypatch):
    """As `HF_ENDPOINT` does before huggingface_hub is imported."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def the_hub(tmp_path, monkeypatch):
    """A Hub without repositories, and an empty cache; the owner is logged in."""
    monkeypatch.chdir(tmp_path)
    hub._download.cache_clear()
    with fake_hub.hub() as fake:
        point_at(fake.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", fake_hub.TOKEN)
        yield fake
    hub._download.cache_clear()


def upload(**settings):
    settings = {"workdir": "digits", "out": "published", "repo": "owner/digits", **settings}
    publish.main(PublishSettings(**settings))


def images(workdir):
    generator = sampling.load_generator(workdir)
    return np.stack(list(sampling.sample(generator, range(20), [n % 10 for n in range(20)])))


def test_what_is_uploaded_comes_back_bit_by_bit(the_hub, tmp_path, capsys):
    upload()
    sha = the_hub.sha("owner/digits", 1)
    printed = capsys.readouterr().out
    assert f"uploaded: {the_hub.url}/owner/digits/commit/{sha}\n" in printed
    assert f"--workdir={ADDRESS}\n" in printed
    files = {path.name: path.read_bytes() for path in (tmp_path / "published").iterdir()}
    assert the_hub.files("owner/digits", "main") == (sha, files)
    expected = images("digits")
    np.testing.assert_array_equal(images(ADDRESS), expected)
    np.testing.assert_array_equal(images(f"{ADDRESS}@{sha}"), expected)
    assert not pretrained.is_run(ADDRESS)
    generator = sampling.load_generator("digits")
    weights = generator.get_weights()
    generator.set_weights([0 * weight for weight in weights])
    pretrained.init_from(ADDRESS, [generator])
    for given, published in zip(generator.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(given, published)


def test_a_revision_is_what_it_was(the_hub, digits):
    upload()
    first = the_hub.sha("owner/digits", 1)
    upload(workdir=str(digits), out="later")
    assert sampling.restore_generator(f"{ADDRESS}@{first}")[1] == 4500
    assert sampling.restore_generator(ADDRESS)[1] == 20


def test_one_process_reads_one_commit(the_hub, digits):
    upload()
    description = pretrained.description(ADDRESS)
    upload(workdir=str(digits), out="later")
    assert pretrained.description(ADDRESS) == description
    assert sampling.restore_generator(ADDRESS)[1] == 4500


def test_without_a_network_the_cache_serves(the_hub, monkeypatch):
    upload()
    expected = images(ADDRESS)
    hub._download.cache_clear()
    point_at("http://127.0.0.1:9", monkeypatch)
    np.testing.assert_array_equal(images(ADDRESS), expected)
    with pytest.raises(ValueError, match=r"owner/other is not .* be reached: .*refused"):
        sampling.load_generator("hf://owner/other")


def test_scores_are_added_to_no_download(the_hub, tmp_path):
    upload()
    evaluate.main(
        EvaluateSettings(workdir=ADDRESS, num_images=200, metrics=("agreement",), out="new.jsonl")
    )
    score = json.loads((tmp_path / "new.jsonl").read_text())["scores"]["label_agreement"]
    assert score >= 0.98
    assert pretrained.scores(ADDRESS) == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://owner", r"has the form hf://owner/name or .* Received: 'hf://owner'"),
        ("hf://owner/a/b", r"has the form"),
        ("hf://owner/nothing", r"no repository owner/nothing that your token may read"),
        (f"{ADDRESS}@v7", r"owner/digits has no branch, tag or commit 'v7'"),
        ("hf://owner/bert", r"was not written by .* lacks config.json and model.safetensors"),
    ],
)
def test_wrong_addresses(the_hub, address, message):
    the_hub.commit("owner/digits", {})
    the_hub.commit("owner/bert", {"model.onnx": b""})
    with pytest.raises(ValueError, match=message):
        sampling.load_generator(address)


def test_a_public_repository_is_not_taken_for_a_private_one(the_hub):
    upload()
    count = len(the_hub.repos["owner/digits"])
    with pytest.raises(ValueError, match=r"owner/digits exists and is public. Leave `--private`"):
        upload(private=True, out="later")
    assert len(the_hub.repos["owner/digits"]) == count


def test_a_private_repository_wants_its_readers(the_hub, monkeypatch):
    upload(private=True)
    assert the_hub.private == {"owner/digits"}
    sampling.load_generator(ADDRESS)
    hub._download.cache_clear()
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "elsewhere")
    with pytest.raises(ValueError, match=r"that is public. .* if it is private, set `HF_TOKEN`"):
        sampling.load_generator(ADDRESS)


@pytest.mark.parametrize(
    ("repo", "token", "url", "message"),
    [
        ("digits", fake_hub.TOKEN, None, r"the form owner/name. Received: 'digits'"),
        ("owner/digits", None, None, r"needs a token .* `hf auth login`"),
        ("owner/digits", "hf_old", None, r"does not know the token. .*`hf upload owner/digits"),
        ("google/digits", fake_hub.TOKEN, None, r"token may not write there. published is whole"),
        ("owner/digits", fake_hub.TOKEN, "http://127.0.0.1:9", r"not written: .*refused. "),
    ],
)
def test_uploads_that_fail(the_hub, monkeypatch, repo, token, url, message):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: token)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    if url is not None:
        point_at(url, monkeypatch)
    with pytest.raises(ValueError, match=message):
        upload(repo=repo)
    assert the_hub.repos == {}
