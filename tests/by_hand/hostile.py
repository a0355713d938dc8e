"""Requests that a careless or hostile caller sends, to a server alone and behind the gateway.

python -m tests.by_hand.hostile exports/sagan   # a base path of the model
"""

import collections
import gzip
import json
import sys

import requests

PREDICT = "/v1/models/sagan:predict"
GOOD = b'{"signature_name": "sample", "instances": [{"class_id": 3, "seed": 7}]}'
MOVED = (
    b'{"signature_name": "directions", "inputs": '
    b'{"class_id": [3], "seed": [7], "amounts": [[1.5, 0, 0, -2]]}}'
)

# What the gateway answers, and the request as it differs from a good one.
HOSTILE = {
    "deep nesting": (400, {"body": b'{"instances": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"}),
    "deep nesting under an ignored key": (400, {"body": b'{"x": ' + b"[" * 50_000 + b"}"}),
    "huge number": (400, {"body": GOOD.replace(b"7", b"9" * 5000)}),
    "number out of range": (400, {"body": GOOD.replace(b"7", b"1e400")}),
    "empty batch": (400, {"body": b'{"signature_name": "sample", "instances": []}'}),
    "empty columns": (
        400,
        {"body": b'{"signature_name": "sample", "inputs": {"class_id": [], "seed": []}}'},
    ),
    "wrong rank": (400, {"body": GOOD.replace(b"7", b"[[7]]")}),
    "scalar columns": (
        400,
        {"body": b'{"signature_name": "sample", "inputs": {"class_id": 1, "seed": 1}}'},
    ),
    "class out of range": (400, {"body": GOOD.replace(b": 3", b": 10")}),
    "too few amounts": (400, {"body": MOVED.replace(b", -2", b"")}),
    "too many amounts": (400, {"body": MOVED.replace(b"-2", b"-2, 1")}),
    "one amount for all": (400, {"body": MOVED.replace(b"[[1.5, 0, 0, -2]]", b"[1.5]")}),
    "amounts of another length": (400, {"body": MOVED.replace(b"-2]]", b"-2], [0, 0, 0, 0]]")}),
    "ragged amounts": (400, {"body": MOVED.replace(b"-2]]", b"-2], [0]]")}),
    "infinite amount": (400, {"body": MOVED.replace(b"1.5", b"1e39")}),
    "amount that is NaN": (400, {"body": MOVED.replace(b"1.5", b"NaN")}),
    "amount that is text": (400, {"body": MOVED.replace(b"1.5", b'"1.5"')}),
    "amounts beyond all images": (400, {"body": MOVED.replace(b"1.5", b"1e38")}),
    "gzip bomb": (
        415,
        {"body": gzip.compress(b" " * 10_000_000 + GOOD), "Content_Encoding": "gzip"},
    ),
    "body too large": (413, {"body": b" " * 300_000}),
    "too many rows": (
        400,
        {"body": json.dumps({"instances": [{"class_id": 1, "seed": 1, "truncation": 1}] * 65})},
    ),
    "unknown signature": (400, {"body": GOOD.replace(b"sample", b"statefulrng")}),
    "unknown model": (404, {"path": "/v1/models/other:predict"}),
    "unknown address": (404, {"path": "/v1/models"}),
    "metadata": (404, {"method": "GET", "path": "/v1/models/sagan/metadata", "body": None}),
    "version": (404, {"path": "/v1/models/sagan/versions/1:predict"}),
    "classify": (404, {"path": "/v1/models/sagan:classify"}),
    "query": (400, {"path": PREDICT + "?x=1"}),
    "percent-encoded name": (404, {"path": "/v1/models/%73agan:predict"}),
    "dots": (404, {"path": "/v1/models/../models/sagan:predict"}),
    "other method": (405, {"method": "PUT"}),
    "get of predict": (405, {"method": "GET", "body": None}),
    "invalid UTF-8": (400, {"body": GOOD.replace(b"sample", b"\xff\xfe")}),
    "half surrogate pair": (400, {"body": GOOD.replace(b"sample", b"\\ud800")}),
    "NaN": (400, {"body": GOOD.replace(b"7", b"NaN")}),
    "key twice": (400, {"body": GOOD.replace(b'"seed": 7', b'"seed": 7, "seed": 8')}),
    "text after the document": (400, {"body": GOOD + b"}}"}),
    "empty body": (400, {"body": b""}),
}


def ask(port, method="POST", path=PREDICT, body=GOOD, timeout=60, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    session = requests.Session()
    prepared = requests.Request(method, f"http://127.0.0.1:{port}/", headers, data=body).prepare()
    prepared.url = f"http://127.0.0.1:{port}{path}"  # as it is, not mended
    return session.send(prepared, timeout=timeout)


def outcome(port, arguments):
    """What a caller sees."""
    try:
        response = ask(port, **arguments, timeout=30)
        told = list(response.json()) == ["error"]
    except (requests.RequestException, ValueError):
        return "no answer, or none in JSON"
    if response.status_code == 200:
        return "answered as if good"
    return "refused with one error" if told else "no answer, or none in JSON"


def main(base_path):
    """Prints how many requests had which outcome."""
    from tests.support import local_server

    with (
        local_server.serving(("sagan", base_path)) as (alone, _),
        local_server.guarding(alone) as guarded,
    ):
        for name, port in (("alone", alone), ("behind the gateway", guarded)):
            outcomes = {case: outcome(port, changed) for case, (_, changed) in HOSTILE.items()}
            counts = dict(collections.Counter(outcomes.values()))
            print(f"{name}, of {len(HOSTILE)}: {counts}")
            for case, seen in outcomes.items():
                if seen != "refused with one error":
                    print(f"  {case}: {seen}")


if __name__ == "__main__":
    from pathlib import Path

    main(Path(sys.argv[1]))
