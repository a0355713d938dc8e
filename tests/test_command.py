"""What a command does when it is interrupted."""

import subprocess
import sys

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
