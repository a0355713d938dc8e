import os
import shutil
import threading
import time

import numpy as np
import pytest
import requests
import tensorflow as tf

from sagan_tf.serving.exporting.warmup import write_requests
from sagan_tf.serving.server import versions
from sagan_tf.serving.server.model_config import ModelConfig, read_model_configs
from sagan_tf.serving.server.rest import RequestError
from sagan_tf.serving.server.versions import ServedModels
from tests.support import local_server


def write(base_path, version, factor=None):
    """A version that multiplies by `factor`, or else by its number; put there in one step."""
    module = tf.Module()
    module.factor = tf.Variable(float(factor or version))
    spec = tf.TensorSpec((None,), tf.float32, "x")
    function = tf.function(lambda x: {"y": x * module.factor}, input_signature=[spec])
    temporary = base_path / f"unfinished-{version}"
    tf.saved_model.save(module, str(temporary), signatures={"serving_default": function})
    write_requests(temporary, [("serving_default", {"x": np.ones(2, "float32")})], "times")
    temporary.rename(base_path / str(version))


def times(models, version=None, label=None):
    found = models.find("times", version, label)
    return found.predict("serving_default", {"x": np.ones(1, "float32")})["y"].item()


def states(models):
    return {entry["version"]: entry["state"] for entry in models.status("times", None)}


def test_the_newest_version_is_served_and_then_the_next(tmp_path):
    for version in (1, 2):
        write(tmp_path, version)
    (tmp_path / "notes").mkdir()
    models = ServedModels([ModelConfig("times", tmp_path)])
    models.update()
    assert models.available() == {"times": [2]}
    assert times(models) == 2
    write(tmp_path, 10)  # newer, though not by its letters
    old = models.find("times", None, None)
    models.update()
    assert times(models) == 10
    assert states(models) == {"10": "AVAILABLE", "2": "END"}
    with pytest.raises(RequestError, match="Version 2 of 'times' is not served") as caught:
        times(models, 2)
    assert caught.value.status == 404
    # A call that had begun before still ends.
    assert old.predict("serving_default", {"x": np.ones(1, "float32")})["y"] == 2


def test_a_version_that_is_removed_rolls_back(tmp_path):
    for version in (1, 2):
        write(tmp_path, version)
    models = ServedModels([ModelConfig("times", tmp_path)])
    models.update()
    shutil.rmtree(tmp_path / "2")
    models.update()
    assert times(models) == 1
    shutil.rmtree(tmp_path / "1")  # nothing to take its place
    models.update()
    assert times(models) == 1


@pytest.mark.parametrize("fault", ["variables", "graph", "warm-up", "empty"])
def test_a_broken_version_is_refused_reported_and_taken_when_mended(tmp_path, fault, caplog):
    write(tmp_path, 1)
    write(tmp_path, 2)
    broken, whole = tmp_path / "2", tmp_path / "whole"
    shutil.copytree(broken, whole)
    if fault == "variables":
        shutil.rmtree(broken / "variables")
    elif fault == "graph":
        (broken / "saved_model.pb").write_bytes(b"no graph")
    elif fault == "warm-up":
        write_requests(broken, [("serving_default", {"y": np.ones(2)})], "times")
    else:
        shutil.rmtree(broken)
        broken.mkdir()
    models = ServedModels([ModelConfig("times", tmp_path)])
    models.update()
    assert times(models) == 1
    newest = models.status("times", None)[0]
    assert (newest["version"], newest["state"]) == ("2", "END")
    assert newest["status"]["error_code"] != "OK"
    assert newest["status"]["error_message"]
    assert "times version 2 is refused" in caplog.text
    before = caplog.text
    models.update()  # not tried again, nor reported
    assert caplog.text == before
    shutil.rmtree(broken)
    whole.rename(broken)
    models.update()
    assert times(models) == 2


def test_several_versions_by_number_and_label(tmp_path):
    for version in (1, 2, 3):
        write(tmp_path, version)
    config = tmp_path / "models.config"
    config.write_text(
        f"""
        model_config_list {{
          config {{
            name: "times"
            base_path: "{tmp_path}"
            model_platform: "tensorflow"
            model_version_policy {{ specific {{ versions: 1 versions: 3 }} }}
            version_labels {{ key: "stable" value: 1 }}
            version_labels {{ key: "canary" value: 3 }}
            logging_config {{ }}
          }}
        }}
        """
    )
    models = ServedModels(read_model_configs(config))
    models.update()
    assert models.available() == {"times": [1, 3]}
    assert (times(models), times(models, 1)) == (3, 1)
    assert (times(models, label="stable"), times(models, label="canary")) == (1, 3)
    with pytest.raises(RequestError, match=r"no label 'old'. There are: canary, stable"):
        times(models, label="old")
    with pytest.raises(RequestError, match="Version 2"):
        times(models, 2)


@pytest.mark.parametrize(
    ("policy", "served"),
    [("latest { num_versions: 2 }", [2, 3]), ("all { }", [1, 2, 3]), ("latest { }", [3])],
)
def test_version_policies(tmp_path, policy, served):
    for version in (1, 2, 3):
        write(tmp_path, version)
    (tmp_path / "c").write_text(
        f'model_config_list: {{ config: {{ name: "times", base_path: "{tmp_path}", '
        f"model_version_policy: {{ {policy} }} }} }}"
    )
    models = ServedModels(read_model_configs(tmp_path / "c"))
    models.update()
    assert models.available() == {"times": served}


def test_no_call_fails_while_versions_come_and_go(tmp_path):
    """Swap and roll-back, twice, under the load of four callers."""
    write(tmp_path, 1)
    answers, stop = [], threading.Event()
    with local_server.serving(("times", tmp_path)) as (port, models):
        url = f"http://127.0.0.1:{port}/v1/models/times:predict"

        def call():
            with requests.Session() as session:
                while not stop.is_set():
                    response = session.post(url, json={"inputs": [1.0]})
                    answers.append((response.status_code, response.json().get("outputs")))

        def wait_for(version):
            deadline = time.monotonic() + 60
            while models.available() != {"times": [version]}:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(0.2)

        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        for _ in range(2):
            write(tmp_path, 2)
            wait_for(2)
            shutil.rmtree(tmp_path / "2")
            wait_for(1)
        stop.set()
        for caller in callers:
            caller.join()
    assert {status for status, _ in answers} == {200}
    assert {value for _, outputs in answers for value in outputs} == {1.0, 2.0}
    assert len(answers) > 200


def test_a_version_that_is_replaced_in_place_is_loaded_anew(tmp_path):
    write(tmp_path, 1)
    models = ServedModels([ModelConfig("times", tmp_path)])
    models.update()
    before = models.find("times", None, None)
    models.update()
    assert models.find("times", None, None) is before  # nothing changed, nothing loaded
    shutil.rmtree(tmp_path / "1")
    write(tmp_path, 1, factor=5)
    models.update()
    assert times(models) == 5
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"broken")
    models.update()
    assert times(models) == 5
    assert states(models) == {"1": "AVAILABLE"}


def test_a_refused_version_is_tried_again_after_a_while(tmp_path, monkeypatch):
    write(tmp_path, 1)
    models = ServedModels([ModelConfig("times", tmp_path)])
    with monkeypatch.context() as context:
        context.setattr(tf.compat.v1.saved_model, "load", lambda *arguments: 1 / 0)
        models.update()
    models.update()
    assert models.available() == {"times": []}
    monkeypatch.setattr(versions, "RETRY_SECONDS", 0.0)
    models.update()
    assert times(models) == 1


def test_one_model_that_cannot_be_read_keeps_no_other_back(tmp_path, monkeypatch, caplog):
    write(tmp_path, 1)
    broken = ModelConfig("broken", tmp_path / "none")
    candidates = ModelConfig.candidates

    def unreadable(self):
        if self.name == "broken":
            raise PermissionError(13, os.strerror(13))
        return candidates(self)

    monkeypatch.setattr(ModelConfig, "candidates", unreadable)
    models = ServedModels([broken, ModelConfig("times", tmp_path)])
    models.update()
    assert times(models) == 1
    assert "The base path of broken cannot be read" in caplog.text


def test_the_watcher_outlives_a_base_path_that_cannot_be_read(tmp_path, monkeypatch, caplog):
    write(tmp_path, 1)
    config = ModelConfig("times", tmp_path)
    models = ServedModels([config])
    models.update()
    stop = threading.Event()

    def unreadable(self):
        if "cannot be read" in caplog.text:
            stop.set()
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(ModelConfig, "candidates", unreadable)
    models.watch(0.01, stop)
    assert "The base path of times cannot be read" in caplog.text
    assert times(models) == 1
