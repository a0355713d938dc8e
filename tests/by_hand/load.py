"""Callers, good, hostile, idle and slow, that keep a server behind its gateway busy.

python -m tests.by_hand.load exports/sagan 300 8   # a base path of the model, seconds, callers
"""

import base64
import collections
import contextlib
import itertools
import json
import re
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import requests

from sagan_tf.serving.client import Client
from tests.by_hand.hostile import HOSTILE, PREDICT, outcome
from tests.support import commands

# Each so many requests of a caller, one is hostile.
HOSTILE_EVERY = 10
# Connections of idle and slow callers.
IDLE = 60


def hold(base_path, seconds, callers):
    """Counts of outcomes, latencies in seconds and memory in MiB of `callers` for `seconds`."""
    with contextlib.ExitStack() as running:
        server = _start(running, f"--model_base_path={base_path}")
        port = _port(server)
        upstream = f"--upstream=http://127.0.0.1:{port}"
        unlimited = ("--requests_per_minute=1000000", "--images_per_minute=1000000")
        gateway = _start(running, "--gateway", upstream, *unlimited)
        guarded = _port(gateway)
        expected = _expected(port)
        _call(guarded, expected, 2, callers, [], collections.Counter())  # warm
        before = [memory(process) for process in (server, gateway)]
        latencies, outcomes = [], collections.Counter()
        with _idle_and_slow(guarded):
            _call(guarded, expected, seconds, callers, latencies, outcomes)
        after = [memory(process) for process in (server, gateway)]
    return {
        "outcomes": dict(outcomes),
        "answers_per_second": len(latencies) / seconds,
        "p50": float(np.percentile(latencies, 50)),
        "p99": float(np.percentile(latencies, 99)),
        "memory": {
            name: pair for name, *pair in zip(("server", "gateway"), before, after, strict=True)
        },
    }


@contextlib.contextmanager
def _idle_and_slow(port):
    """Connections that say nothing, and others that say it slowly; each opened anew when closed."""
    stopped = threading.Event()

    def hold(begin):
        while not stopped.is_set():
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", port), timeout=1) as connection,
            ):
                connection.sendall(begin)
                while not stopped.wait(0.5):
                    if begin:
                        connection.sendall(b"x")
                    with contextlib.suppress(TimeoutError):
                        if not connection.recv(1000):
                            break

    slow_body = f"POST {PREDICT} HTTP/1.1\r\nContent-Length: 200000\r\n\r\n".encode()
    begins = [b"", b"POST /v1/mod", slow_body] * (IDLE // 3)
    threads = [threading.Thread(target=hold, args=(begin,)) for begin in begins]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def _start(running, *arguments):
    """A `serve` command that ends with `running`; its log is thrown away."""
    process = running.enter_context(commands.start_anew("serve", *arguments, "--rest_api_port=0"))
    log = threading.Thread(target=collections.deque, args=(process.stderr, 0))
    log.start()
    running.callback(log.join)
    running.callback(process.terminate)
    return process


def _port(process):
    for line in process.stdout:
        if match := re.search(r"(?:serving: | at )http://127.0.0.1:(\d+)", line):
            return int(match[1])
    raise AssertionError("The command ended before it served.")


def _expected(port):
    """Bodies of good requests, and the PNGs that answer them."""
    client = Client(f"http://127.0.0.1:{port}")
    pairs = [(class_id, seed) for class_id in range(10) for seed in range(3)]
    return [
        (
            json.dumps(
                {"signature_name": "sample", "inputs": {"class_id": [label], "seed": [seed]}}
            ),
            client.predict("sample", {"class_id": [label], "seed": [seed]})["image_bytes"][0],
        )
        for label, seed in pairs
    ]


def _call(port, expected, seconds, callers, latencies, outcomes):
    lock = threading.Lock()
    end = time.monotonic() + seconds

    def caller(number):
        session = requests.Session()
        good = itertools.cycle(expected[number:] + expected[:number])
        hostile = itertools.cycle([*HOSTILE.values()][number:])
        for turn in itertools.count(number):
            if time.monotonic() > end:
                return
            if turn % HOSTILE_EVERY == 0:
                seen = f"hostile: {outcome(port, next(hostile)[1])}"
            else:
                body, png = next(good)
                started = time.monotonic()
                try:
                    answer = session.post(f"http://127.0.0.1:{port}{PREDICT}", body, timeout=60)
                    (image,) = answer.json()["outputs"]["image_bytes"]
                    seen = "good: right" if base64.b64decode(image["b64"]) == png else "good: wrong"
                except (requests.RequestException, ValueError, KeyError) as error:
                    seen = f"good: {error!r:.80}"
                with lock:
                    latencies.append(time.monotonic() - started)
            with lock:
                outcomes[seen] += 1

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def memory(process):
    """What a process holds, in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(hold(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])), indent=2))
