import asyncio
import contextlib

import pytest

from sagan_tf.serving.http.joined_writes import JoinedWrites


class Recorder:
    """A transport that keeps what it is told."""

    def __init__(self):
        self.told = []

    def write(self, data):
        self.told.append(data)

    def get_write_buffer_size(self):
        return 5

    def write_eof(self):
        self.told.append("eof")

    def close(self):
        self.told.append("close")

    def is_closing(self):
        return "close" in self.told


@contextlib.contextmanager
def event_loop():
    with asyncio.Runner() as runner:

        async def start():
            recorder = Recorder()
            return recorder, JoinedWrites(recorder)

        yield *runner.run(start()), lambda: runner.run(asyncio.sleep(0))


def test_what_is_written_in_one_turn_is_sent_at_once():
    with event_loop() as (recorder, transport, turn):
        transport.write(b"head")
        transport.write(b"body")
        assert recorder.told == []
        assert transport.get_write_buffer_size() == 5 + 8
        turn()
        assert recorder.told == [b"headbody"]
        assert transport.get_write_buffer_size() == 5
        transport.write(b"next")
        turn()
        turn()
        assert recorder.told == [b"headbody", b"next"]


@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_what_was_written_is_sent_before_the_end(end):
    with event_loop() as (recorder, transport, turn):
        transport.write(b"answer")
        getattr(transport, end)()
        assert recorder.told == [b"answer", end.removeprefix("write_")]
        turn()
        assert len(recorder.told) == 2


def test_much_is_not_held_back():
    large = bytes(2**16 + 1)
    with event_loop() as (recorder, transport, turn):
        transport.write(b"head")
        transport.write(large)
        assert recorder.told == [b"head", large]
        assert recorder.told[1] is large  # not copied
        for _ in range(100):
            transport.write(bytes(2**12))
        assert sum(map(len, recorder.told)) > 300_000
        turn()
        assert sum(map(len, recorder.told)) == 4 + len(large) + 100 * 2**12


def test_all_else_is_the_transports_own():
    with event_loop() as (_, transport, _):
        assert not transport.is_closing()
        transport.close()
        assert transport.is_closing()
