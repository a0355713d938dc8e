import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import requests
import tensorflow as tf
from PIL import Image

from sagan_tf import sampling, serve
from sagan_tf.machine import processors
from sagan_tf.serve import ServeSettings, main
from sagan_tf.serving.client import Client
from sagan_tf.serving.gateway.callers import add_key
from sagan_tf.serving.server import batching
from tests.by_hand import load
from tests.support import commands, local_server, toy_model
from tests.support.kernels import ROWS_ARE_INDEPENDENT

PORT = "--rest_api_port=0"
SERVING = (commands.ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


@pytest.fixture
def toy(tmp_path):
    toy_model.write(tmp_path / "toy" / "1")
    return tmp_path / "toy"


def test_serves_until_it_is_told_to_stop(exported):
    process = commands.start(
        "serve", "--model_name=a model", f"--model_base_path={exported}", "--rest_api_port=0"
    )
    lines, match = commands.read_until(
        process, r"serving: (http://127.0.0.1:\d+)/v1/models/a%20model\n"
    )
    assert lines[0].startswith("device: CPU, ")
    assert lines[1:-1] == [f"loading: a model from {exported}\n", "a model version 1 is served.\n"]
    assert Client(match[1], "a model").sample(3).size == (16, 16)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    assert process.returncode == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(match[1], timeout=5)


def test_the_digits_that_ship_need_no_export(tmp_path):
    process = commands.start("serve", "--model_base_path=digits", PORT, TMPDIR=str(tmp_path))
    lines, match = commands.read_until(process, r"serving: (http://127.0.0.1:\d+)/")
    assert lines[1] == "exporting: step 4500 of digits\n"
    image = Client(match[1]).sample(7, 1234)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
    generator = sampling.load_generator("digits")
    (expected,) = sampling.sample(generator, [1234], [7])
    assert np.abs(np.asarray(image, int) - expected[..., 0]).max() <= 1


def test_told_to_stop_while_it_loads(exported):
    process = commands.start("serve", f"--model_base_path={exported}", "--rest_api_port=0")
    commands.read_until(process, f"loading: sagan from {exported}\n")
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output == ""
    assert errors.strip().splitlines()[-1] == "interrupted"


def test_the_curl_lines_of_the_documentation(exported, tmp_path):
    (block,) = re.findall(r"```bash\n((?:curl .*?)+)```", SERVING, flags=re.DOTALL)
    assert block.count("curl ") == 5
    with local_server.serving(("sagan", exported)) as (port, _):
        script = block.replace(":8501/", f":{port}/").replace("python ", f"{sys.executable} ")
        printed = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        image = Image.open(tmp_path / "seven.png")
        expected = Client(f"http://127.0.0.1:{port}").sample(7, 1234)
    assert '"state":"AVAILABLE"' in printed
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


@pytest.mark.parametrize("label", ["", "--rest_api_port=99999", "--rest_api_num_threads=0"])
def test_bad_input_is_one_message(tmp_path, label):
    empty = tmp_path / "empty"
    empty.mkdir()
    arguments = [f"--model_base_path={empty}", "--rest_api_port=0"]
    errors = commands.fail("serve", *arguments, *([label] if label else []))
    assert {
        "": f"{empty} holds no version of 'sagan' to serve",
        "--rest_api_port=99999": "`--rest_api_port` must be in [0, 65535]. Received: 99999",
        "--rest_api_num_threads=0": "`--rest_api_num_threads` must be above 0. Received: 0",
    }[label] in errors


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--api_key_file=keys"], "`--api_key_file` is for `--gateway` and `--add_key`"),
        (["--max_rows=3"], "`--max_rows` is for `--gateway`. Leave it out."),
        (["--labels=stable"], "`--labels` is for `--gateway`"),
        (
            ["--gateway", "--upstream=http://a", "--rest_api_enable_cors_support"],
            "`--rest_api_enable_cors_support` is for models, not for a `--gateway`",
        ),
    ],
)
def test_flags_of_the_other_kind_of_server_are_refused(flags, message):
    assert message in commands.fail("serve", *flags)


def test_a_port_in_use_is_one_message(exported):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        errors = commands.fail("serve", f"--model_base_path={exported}", f"--rest_api_port={port}")
    assert f"Port {port} of 127.0.0.1 cannot be listened at: Address already in use" in errors


def test_only_broken_versions_are_one_message(tmp_path):
    (tmp_path / "1").mkdir()
    errors = commands.fail("serve", f"--model_base_path={tmp_path}", "--rest_api_port=0")
    assert "sagan version 1 is refused" in errors
    assert "No version of 'sagan' can be loaded" in errors


def test_a_gpu_that_tensorflow_does_not_see_is_no_cpu(exported, monkeypatch, tmp_path):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(processors, "GPU_FILES", str(tmp_path / "nvidia[0-9]*"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)
    settings = ServeSettings(model_base_path=str(exported), rest_api_port=0)
    with pytest.raises(ValueError, match=r"sees no GPU, though there is one here.*--device=cpu"):
        main(settings)


def test_calls_are_filled_up_to_few_sizes_on_a_gpu(monkeypatch, tmp_path):
    """Its kernels are chosen anew for each number of rows."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    assert serve._batching(ServeSettings()) == batching.BatchingParameters()
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["GPU:0"])
    assert serve._batching(ServeSettings()) == batching.FOR_GPUS
    assert batching.FOR_GPUS.allowed_batch_sizes[-1] == batching.FOR_GPUS.max_batch_size
    assert serve._batching(ServeSettings(enable_batching=False)) == batching.NO_BATCHING
    given = tmp_path / "batching"
    given.write_text("max_batch_size { value: 5 }")
    assert serve._batching(ServeSettings(batching_parameters_file=str(given))).max_batch_size == 5


def test_without_the_extra_the_message_names_it(tmp_path, monkeypatch):
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError(name='uvicorn')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "pip install 'sagan_tf[serve]'" in commands.failed(commands.start_anew("serve"))


def test_a_call_that_takes_too_long_is_answered_with_504(toy):
    with local_server.serving(("toy", toy), timeout_seconds=0.3) as (port, _):
        url = f"http://127.0.0.1:{port}/v1/models/toy:predict"
        slow = requests.post(url, json={"signature_name": "spin", "inputs": [200_000]}, timeout=60)
        fast = requests.post(url, json={"signature_name": "spin", "inputs": [1]}, timeout=60)
    assert slow.status_code == 504
    assert slow.json() == {"error": "No answer within 0.3 seconds."}
    assert fast.status_code == 200


def test_calls_that_took_too_long_take_no_more_threads(toy):
    url = "http://127.0.0.1:{}/v1/models/toy"
    body = {"signature_name": "spin", "inputs": [100_000]}
    with local_server.serving(("toy", toy), timeout_seconds=0.2, num_threads=2) as (port, _):
        before = threading.active_count()
        for _ in range(8):
            assert (
                requests.post(url.format(port) + ":predict", json=body, timeout=60).status_code
                == 504
            )
        assert threading.active_count() <= before + 2
        # Status is told while all of them are busy.
        assert requests.get(url.format(port), timeout=1).status_code == 200


def test_a_slow_body_is_answered_with_408(toy):
    head = b"POST /v1/models/toy:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
    with (
        local_server.serving(("toy", toy), timeout_seconds=0.3) as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        connection.sendall(head + b"{")
        assert b" 408 " in connection.recv(1000)


def test_many_callers_get_their_own_answers(exported):
    """8 callers, each with other seeds: every answer is the one that a single caller gets.

    The same bytes where kernels allow it; elsewhere to one level, as the documentation promises.
    """
    with local_server.serving(("sagan", exported)) as (port, _):
        client = Client(f"http://127.0.0.1:{port}")
        seeds = range(64)
        expected = [np.asarray(client.sample(3, seed), int) for seed in seeds]
        answers = {}

        def call(own):
            caller = Client(f"http://127.0.0.1:{port}")
            answers.update({seed: np.asarray(caller.sample(3, seed), int) for seed in own})

        callers = [threading.Thread(target=call, args=(seeds[i::8],)) for i in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    levels = 0 if ROWS_ARE_INDEPENDENT else 1
    for seed in seeds:
        distances = [np.abs(answers[seed] - image).max() for image in expected]
        assert [other for other in seeds if distances[other] <= levels] == [seed]


def test_pages_of_other_sites_by_flag(exported):
    with local_server.serving(("sagan", exported), enable_cors=True) as (port, _):
        response = requests.get(f"http://127.0.0.1:{port}/v1/models/sagan", timeout=60)
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_a_copy_of_the_package_is_not_needed_to_serve(exported, tmp_path):
    """An export stands by itself: it is served from a place where the run is not."""
    base_path = tmp_path / "elsewhere"
    shutil.copytree(exported / "1", base_path / "5")
    with local_server.serving(("sagan", Path(base_path))) as (port, models):
        assert models.available() == {"sagan": [5]}
        assert Client(f"http://127.0.0.1:{port}").sample(1).size == (16, 16)


def test_a_gateway_with_keys_from_the_command_line(exported, tmp_path):
    keys = tmp_path / "keys"
    made = commands.run(
        "serve", "--gateway", "--upstream=http://a", "--add_key=anna", f"--api_key_file={keys}"
    )
    key = made.split()[-1]
    assert "anna:" in keys.read_text()
    with local_server.serving(("sagan", exported)) as (upstream, _):
        process = commands.start(
            "serve",
            "--gateway",
            f"--upstream=http://127.0.0.1:{upstream}",
            f"--api_key_file={keys}",
            "--rest_api_port=0",
        )
        _, match = commands.read_until(
            process,
            rf"guarding: http://127.0.0.1:{upstream} at (http://127.0.0.1:\d+)/v1/models/sagan\n",
        )
        url = f"{match[1]}/v1/models/sagan:predict"
        body = {"signature_name": "sample", "instances": [{"class_id": 3, "seed": 7}]}
        assert requests.post(url, json=body, timeout=60).status_code == 401
        answer = requests.post(url, json=body, headers={"X-API-Key": key}, timeout=60)
        assert answer.json()["predictions"][0]["seed"] == 7
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors


def test_a_gateway_short_of_descriptors_reads_its_keys_again(exported, tmp_path):
    """160 idle sockets at 128 descriptors keep nobody out; SIGHUP changes who is let in."""
    keys = tmp_path / "keys"
    first = add_key(keys, "first")
    with (
        local_server.serving(("sagan", exported)) as (upstream, _),
        contextlib.ExitStack() as stack,
    ):
        arguments = f"--gateway --upstream=http://127.0.0.1:{upstream} --api_key_file={keys} {PORT}"
        process = subprocess.Popen(
            ["bash", "-c", f"ulimit -n 128; exec {sys.executable} -m sagan_tf.serve {arguments}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=commands.ROOT,
        )
        stack.callback(process.kill)
        port = int(re.search(r"at http://127.0.0.1:(\d+)", process.stdout.readline())[1])
        for _ in range(160):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))

        def status(key):
            body = {"signature_name": "sample", "instances": [{"class_id": 3, "seed": 7}]}
            url = f"http://127.0.0.1:{port}/v1/models/sagan:predict"
            return requests.post(url, json=body, headers={"X-API-Key": key}, timeout=20).status_code

        assert [status(first) for _ in range(5)] == [200] * 5
        assert load.memory(process) < 200  # MiB: without TensorFlow, which its container lacks
        second = add_key(keys, "second")
        keys.write_text(keys.read_text().splitlines()[1] + "\n")  # the first is revoked
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while status(second) != 200:
            assert time.monotonic() < deadline
        assert status(first) == 401
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    assert len(lines) < 40
    assert first not in errors
    assert second not in errors


@pytest.mark.parametrize("guarded", [False, True], ids=["server", "gateway"])
def test_a_stop_under_load_loses_no_call(exported, guarded):
    """Callers on old and new connections are answered until nobody listens; a slow one is told."""
    with contextlib.ExitStack() as stack:
        if guarded:
            upstream, _ = stack.enter_context(local_server.serving(("sagan", exported)))
            arguments = ["--gateway", f"--upstream=http://127.0.0.1:{upstream}"]
            arguments += ["--requests_per_minute=100000"]
        else:
            arguments = [f"--model_base_path={exported}"]
        process = commands.start("serve", *arguments, PORT)
        _, match = commands.read_until(
            process, r"(?:serving:|guarding: .* at) http://127.0.0.1:(\d+)/v1"
        )
        port = int(match[1])
        outcomes, stopped = [], threading.Event()
        callers = [
            threading.Thread(target=call_until_refused, args=(port, keep, outcomes, stopped))
            for keep in (True, False) * 4
        ]
        for caller in callers:
            caller.start()
        half = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        half.sendall(b"POST /v1/models/sagan:predict HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
        time.sleep(1)
        stopped.set()
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - start < 10
        for caller in callers:
            caller.join()
        assert b" 503 " in half.recv(1000)
    assert set(outcomes) == {200}
    assert len(outcomes) > 50
    assert "Traceback" not in errors


def call_until_refused(port, keep, outcomes, stopped):
    """Asks again and again, on one connection or on one each, until nobody listens."""
    body = {"signature_name": "sample", "instances": [{"class_id": 3, "seed": 7}]}
    session = requests.Session()
    while True:
        try:
            answer = session.post(
                f"http://127.0.0.1:{port}/v1/models/sagan:predict", json=body, timeout=20
            )
            outcomes.append(answer.status_code)
        except requests.ConnectionError as error:
            refused = "Connection refused" in str(error)
            if not refused or not stopped.is_set():
                outcomes.append(repr(error))
            if refused:
                return
        if not keep:
            session.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model_name=a/b"], "`--model_name` must fit between two slashes of an address"),
        (["--rest_api_host=8.8.8.8"], "Port 0 of 8.8.8.8 cannot be listened at"),
        (["--model_base_path=/nowhere"], "'sagan' to serve: it is not there"),
        (["--gateway"], "`--gateway` needs `--upstream`"),
        (["--gateway", "--upstream=localhost:8501"], "Received: 'localhost:8501'"),
        (["--gateway", "--upstream=http://a", "--model_name=a b"], "Received: 'a b'"),
        (["--gateway", "--upstream=http://a", "--labels=a/b"], "Received: 'a/b'"),
        (["--gateway", "--upstream=http://a", "--labels=.."], "Received: '..'"),
        (["--add_key=anna"], "`--add_key` needs `--api_key_file`"),
        (["--gateway", "--upstream=http://a", "--api_key_file=/nowhere"], "cannot be read"),
    ],
)
def test_bad_settings_are_one_message(arguments, message):
    assert message in commands.fail("serve", *arguments, "--rest_api_port=0")


def test_gateway_holds_a_load_of_good_and_hostile_callers(exported):
    figures = load.hold(exported, seconds=20, callers=8)
    assert set(figures["outcomes"]) == {"good: right", "hostile: refused with one error"}, figures
    assert figures["outcomes"]["good: right"] > 100
    for name, limit in (("server", 100), ("gateway", 20)):
        before, after = figures["memory"][name]
        assert after - before < limit, figures
