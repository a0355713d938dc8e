"""How a command begins, and what it does when it is interrupted."""

import os
import platform
import subprocess
import sys

import pytest

# The lock is left as an interrupt between its acquisition and its `with` would leave it.
STUCK = """
import concurrent.futures, dataclasses, threading
from sagan_tf import command

Settings = dataclasses.make_dataclass("Settings", [])

def main(settings):
    lock = threading.Lock()
    lock.acquire()
    concurrent.futures.ThreadPoolExecutor(1).submit(lock.acquire)
    print("working")
    raise KeyboardInterrupt

command.run(main, Settings)
"""


def test_an_interrupt_ends_a_command_whose_threads_are_stuck():
    done = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "working\n")
    assert done.stderr.endswith("interrupted\n")
    assert "Traceback" not in done.stderr


PRINTED = """
import dataclasses, os
from sagan_tf import command

command.run(
    lambda settings: print(os.environ.get("TF_ENABLE_ONEDNN_OPTS")),
    dataclasses.make_dataclass("Settings", []),
)
"""


@pytest.mark.parametrize(
    ("given", "expected"), [(None, "1" if platform.machine() == "x86_64" else "None"), ("0", "0")]
)
def test_onednn_is_on_unless_the_user_says_otherwise(given, expected):
    environment = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    if given is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = given
    printed = subprocess.check_output([sys.executable, "-c", PRINTED], env=environment, text=True)
    assert printed == f"{expected}\n"
