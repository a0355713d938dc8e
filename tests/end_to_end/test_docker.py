"""What `docker/` says agrees with the code; no container is started."""

import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import requests
import yaml
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement

from sagan_tf.playground import KEY_VARIABLE, PlaygroundSettings
from sagan_tf.serve import ServeSettings
from sagan_tf.serving.server.model_config import read_model_configs
from tests.support import commands, local_server

PROJECT = tomllib.loads((commands.ROOT / "pyproject.toml").read_text())["project"]
DOCKER = commands.ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
GPU = yaml.safe_load((DOCKER / "compose.gpu.yaml").read_text())
SERVICES = COMPOSE["services"]
BIN = Path(sys.executable).parent
# Of TensorFlow Serving 2.20, model_servers/main.cc: those that the compose file may use.
MODEL_SERVER_FLAGS = """
allow_version_labels_for_unavailable_models enable_profiler model_config_file
model_config_file_poll_wait_seconds monitoring_config_file port rest_api_port
rest_api_timeout_in_ms
""".split()


def instructions(path):
    """The instructions of a Dockerfile with their values."""
    steps = DockerfileParser(fileobj=io.BytesIO(path.read_bytes())).structure
    return [(step["instruction"], step["value"]) for step in steps]


def flags(service):
    """The flags of a service's command, by name."""
    words = [word for word in SERVICES[service]["command"] if word.startswith("--")]
    return {name: value for name, _, value in (word[2:].partition("=") for word in words)}


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_compose_files_follow_their_schema(name):
    check = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / name]
    subprocess.run(check, check=True, capture_output=True)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfiles_pass_hadolint(path):
    finished = subprocess.run([BIN / "hadolint", path], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_hold_what_is_there_and_run_as_nobody(path):
    values = dict(instructions(path))
    assert re.fullmatch(r"python:3\.\d+-slim", values["FROM"])
    assert values["USER"] == "65534:65534"
    ignored, *kept = [
        line
        for line in (commands.ROOT / ".dockerignore").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert ignored == "*"
    kept = {line[1:] for line in kept if line.startswith("!")}
    for instruction, value in instructions(path):
        if instruction == "COPY":
            for source in value.split()[:-1]:
                assert (commands.ROOT / source).exists(), source
                assert source in kept


def test_every_path_that_is_mounted_is_there():
    volumes = [volume for service in SERVICES.values() for volume in service.get("volumes", ())]
    for volume in volumes:
        source, _, mode = volume.split(":")
        assert (DOCKER / source).exists(), source
        assert mode == "ro"
    build = SERVICES["gateway"]["build"]
    assert (DOCKER / build["context"]).resolve() == commands.ROOT
    assert (commands.ROOT / build["dockerfile"]).is_file()
    # Made by its user, and never committed.
    assert COMPOSE["secrets"]["api_keys"]["file"] == "./api_keys"
    assert "docker/api_keys" in (commands.ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("service", SERVICES)
def test_services_may_do_little(service):
    settings = SERVICES[service]
    assert settings["read_only"] is True
    assert settings["user"] == "65534:65534"
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["mem_limit"]
    assert settings["pids_limit"]
    for port in settings.get("ports", ()):
        assert port.startswith("127.0.0.1:")


def test_only_the_gateway_reaches_the_model():
    assert COMPOSE["networks"]["inside"]["internal"] is True
    members = {name for name, service in SERVICES.items() if "inside" in service["networks"]}
    assert members == {"model", "gateway"}
    assert SERVICES["model"]["networks"] == ["inside"]
    assert "ports" not in SERVICES["model"]


def test_versions_of_the_model_server_are_pinned():
    assert SERVICES["model"]["image"] == "tensorflow/serving:2.20.0"
    assert GPU["services"]["model"]["image"] == "tensorflow/serving:2.20.0-gpu"


def test_commands_have_the_flags_they_are_given():
    assert SERVICES["model"]["entrypoint"] == ["tensorflow_model_server"]
    assert set(flags("model")) <= set(MODEL_SERVER_FLAGS)
    for service, module, settings in (
        ("gateway", "sagan_tf.serve", ServeSettings),
        ("page", "sagan_tf.playground", PlaygroundSettings),
    ):
        assert SERVICES[service]["command"][0] == module
        assert set(flags(service)) <= set(settings.__dataclass_fields__)
    assert KEY_VARIABLE in SERVICES["page"]["environment"]
    entrypoints = {
        path.name: json.loads(dict(instructions(path))["ENTRYPOINT"]) for path in DOCKERFILES
    }
    assert entrypoints == {
        "serve.Dockerfile": ["python", "-m"],
        "train.Dockerfile": ["python", "-m", "sagan_tf.train"],
    }


def test_services_find_one_another():
    model, gateway, page = flags("model"), flags("gateway"), flags("page")
    assert gateway["upstream"] == f"http://model:{model['rest_api_port']}"
    assert page["url"] == f"http://gateway:{gateway['rest_api_port']}"
    assert SERVICES["gateway"]["ports"] == [f"127.0.0.1:8080:{gateway['rest_api_port']}"]
    assert page["public_url"] == "http://localhost:8080"
    assert SERVICES["page"]["ports"] == [f"127.0.0.1:7860:{page['port']}"]
    mounted = {volume.split(":")[1] for volume in SERVICES["model"]["volumes"]}
    assert {model["model_config_file"], model["monitoring_config_file"], "/models"} == mounted
    assert gateway["api_key_file"] == f"/run/secrets/{SERVICES['gateway']['secrets'][0]}"
    assert str(model["rest_api_port"]) in SERVICES["model"]["healthcheck"]["test"][3]
    assert f":{gateway['rest_api_port']}/healthz" in SERVICES["gateway"]["healthcheck"]["test"][3]


@pytest.fixture
def served(exported, tmp_path):
    """Ports at which the model of `models.config` is served, as two versions, and guarded."""
    shutil.copytree(exported, tmp_path / "sagan")
    shutil.copytree(exported / "1", tmp_path / "sagan" / "2")
    text = (DOCKER / "models.config").read_text()
    (tmp_path / "models.config").write_text(text.replace("/models/", f"{tmp_path}/"))
    (config,) = read_model_configs(tmp_path / "models.config")
    labels = tuple(flags("gateway")["labels"].split(","))
    with (
        local_server.serving(config) as (port, _),
        local_server.guarding(port, labels=labels) as guarded,
    ):
        yield port, guarded


def health(service, port):
    """How the health check of a service ends, at another port."""
    (_, *command) = SERVICES[service]["healthcheck"]["test"]
    at = flags(service)["rest_api_port"]
    command[-1] = command[-1].replace("$$", "$").replace(at, str(port))
    command[0] = sys.executable if command[0] == "python" else command[0]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode


def test_labels_and_health_checks_do_what_they_say(served):
    port, guarded = served
    for label in ("stable", "canary"):
        answer = requests.post(
            f"http://127.0.0.1:{guarded}/v1/models/sagan/labels/{label}:predict",
            json={"signature_name": "sample", "instances": [{"class_id": 1, "seed": 2}]},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
    assert health("model", port) == 0
    assert health("gateway", guarded) == 0


def test_health_checks_fail_without_a_model(tmp_path):
    with local_server.guarding(1) as guarded:
        assert health("gateway", guarded) != 0
        assert health("model", guarded) != 0  # an answer, but none of a model that is available
    assert health("model", 1) != 0


def closure(names):
    """Distributions that `pip install` of these would bring."""
    found = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for line in importlib.metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def test_gateway_and_page_run_with_their_requirements_alone():
    lines = (DOCKER / "requirements.txt").read_text().splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    extras = PROJECT["optional-dependencies"]
    assert set(lines) <= {*PROJECT["dependencies"], *extras["serve"], *extras["playground"]}
    allowed = closure(Requirement(line).name for line in lines)
    assert "tensorflow" not in allowed
    owners = {
        module: [name.lower().replace("_", "-") for name in names]
        for module, names in importlib.metadata.packages_distributions().items()
    }
    allowed.add("sagan-tf")
    forbidden = [module for module, names in owners.items() if not allowed & set(names)]
    script = f"""
import sys
import tomllib
sys.modules.update(dict.fromkeys({forbidden!r}))
import sagan_tf.serve, sagan_tf.playground
import sagan_tf.serving.gateway.app
import sagan_tf.serving.playground.page
import sagan_tf.serving.server.app
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=commands.ROOT)


def test_the_slurm_script_passes_shellcheck():
    subprocess.run([BIN / "shellcheck", DOCKER / "train.sbatch"], check=True)


@pytest.mark.parametrize(("code", "requeued"), [(0, False), (1, False), (143, True)])
def test_a_slurm_job_that_was_stopped_is_queued_again(code, requeued, tmp_path):
    for name, ending in (("srun", f"exit {code}"), ("scontrol", "")):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@"\n{ending}\n')
        program.chmod(0o755)
    slurm = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "32"}
    environment = os.environ | slurm | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [DOCKER / "train.sbatch", "--dataset=digits", "--workdir=a b"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    started, *after = done.stdout.splitlines()
    command = "srun --kill-on-bad-exit=1 python -m sagan_tf.train --dataset=digits --workdir=a b"
    assert started == command
    assert after == (["scontrol requeue 7"] if requeued else [])
