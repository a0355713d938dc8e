"""Several workers of one run, as processes on this machine."""

import contextlib
import json
import socket

from tests.support import commands


def free_addresses(count):
    """So many addresses on this machine, whose ports nobody has."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]


def tf_config(addresses, index):
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def start_all(name, *arguments, count=2):
    """A command by so many workers."""
    addresses = free_addresses(count)
    return [
        commands.start(name, *arguments, TF_CONFIG=tf_config(addresses, index))
        for index in range(count)
    ]


def run_all(name, *arguments):
    """What the workers of a command that must succeed printed."""
    processes = start_all(name, *arguments)
    results = [process.communicate(timeout=300) for process in processes]
    for process, (_, errors) in zip(processes, results, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [output for output, _ in results]
