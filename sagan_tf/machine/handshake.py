"""Lets workers find one another before TensorFlow connects them.

Each worker listens at its address and answers with its index and whether it has seen all others;
it also asks all others.
"""

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from sagan_tf.machine.cluster import Cluster

# Largest number of bytes to read of a worker's answer: enough for thousands of addresses.
_LONGEST_ANSWER = 2**20


def await_workers(cluster: Cluster, replicas: int, seconds: float) -> None:
    """Blocks until every worker has seen every other.

    TensorFlow itself would wait for missing workers forever and could not be interrupted.

    Args:
        cluster: the workers.
        replicas: number of replicas of this worker; all workers must have as many.
        seconds: how long to wait.

    Raises:
        ValueError: if workers are missing after that time, this process's port is taken, or
            another worker has a different cluster, index or number of replicas.
    """
    own = cluster.addresses[cluster.index]
    others = {i: address for i, address in enumerate(cluster.addresses) if address != own}
    facts = {"cluster": list(cluster.addresses), "replicas": replicas}
    here: dict[str, Any] = {**facts, "index": cluster.index, "knows all": False}
    knows_all: dict[str, bool] = {}
    with _answering(own, here):
        deadline = time.monotonic() + seconds
        said = time.monotonic()
        while not (here["knows all"] and all(knows_all.values())):
            for index, address in others.items():
                answer = _asked(address)
                if answer is not None:
                    _check_answer(address, answer, {**facts, "index": index})
                    knows_all[address] = answer["knows all"]
                elif address in knows_all and _listens(address):
                    # TensorFlow listens there now: the worker has gone on, as all have seen all.
                    knows_all[address] = here["knows all"]
            here["knows all"] = len(knows_all) == len(others)
            late = [address for address in others.values() if not knows_all.get(address)]
            if late and time.monotonic() > deadline:
                late = [address for address in late if address not in knows_all] or late
                raise ValueError(
                    f"{len(late)} of {len(cluster.addresses)} workers did not come up within "
                    f"{seconds:g} seconds: {', '.join(late)}. Start the same command there, or "
                    "look why it ended; training's `--worker_timeout` waits longer."
                )
            if late and time.monotonic() > said + 10:
                said = time.monotonic()
                left = deadline - said
                print(f"waiting for {', '.join(late)}, {left:.0f} seconds more", file=sys.stderr)
            time.sleep(0.1)


def _check_answer(address: str, answer: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if answer.get(name) != value:
            raise ValueError(
                f"The worker at {address} must have the {name} {value}, by this worker's "
                f"description of the cluster and its devices. Received: {answer.get(name)}"
            )


@contextlib.contextmanager
def _answering(address: str, here: dict[str, Any]) -> Iterator[None]:
    """Answers connections at an address with `here`, before TensorFlow's server listens there."""
    port = int(address.rpartition(":")[2])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(("", port), family=family, backlog=99, dualstack_ipv6=both)
    except OSError as error:
        raise ValueError(
            f"This worker's address, {address}, cannot be listened at: {error.strerror}. End what "
            "uses that port, or name another one to all workers."
        ) from None
    with server:
        threading.Thread(target=_answer, args=(server, here), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)  # otherwise the thread's `accept` keeps the port


def _answer(server: socket.socket, here: dict[str, Any]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # the server is closed
            return
        with connection, contextlib.suppress(OSError):
            connection.sendall(json.dumps(here).encode())


def _asked(address: str) -> dict[str, Any] | None:
    """A worker's answer; `None` if no worker of this package listens at the address."""
    try:
        with _connection(address) as connection, connection.makefile("rb") as file:
            answer = json.loads(file.read(_LONGEST_ANSWER))
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) and "knows all" in answer else None


def _listens(address: str) -> bool:
    try:
        _connection(address).close()
    except OSError:
        return False
    return True


def _connection(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=2)
