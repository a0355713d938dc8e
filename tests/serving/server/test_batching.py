import asyncio
import dataclasses
import math
import threading

import numpy as np
import pytest

from sagan_tf.serving.server import batching, joining
from sagan_tf.serving.server.batching import NO_BATCHING, Batcher, BatchingParameters
from sagan_tf.serving.server.batching_parameters import read_parameters
from sagan_tf.serving.server.joining import JoinChecks
from sagan_tf.serving.server.rest import Call, RequestError


class Doubling:
    """Gives twice its input, refuses negative values, and keeps what it was asked for.

    The first call waits until `free` is set, so that others come meanwhile.
    """

    def __init__(self, accepts=lambda inputs: True):
        self.asked = []
        self.begun, self.free = threading.Event(), threading.Event()
        self._accepts = accepts

    def joins(self, signature_name):
        return True

    def accepts(self, signature_name, inputs):
        return self._accepts(inputs)

    def predict(self, signature_name, inputs):
        self.asked.append(inputs["x"].tolist())
        self.begun.set()
        self.free.wait(10)
        if (inputs["x"] < 0).any():
            raise RequestError(400, f"negative: {inputs['x'].tolist()}")
        return {"y": 2 * inputs["x"]}


def ask(model, values, parameters=None, num_threads=2):
    """Answers to a first call, and to one with each of `values` that come while it runs."""
    parameters = dataclasses.replace(parameters or BatchingParameters(), num_batch_threads=1)

    async def ask_all():
        batcher = Batcher(parameters, num_threads)

        def call(value):
            rows = np.array(value if isinstance(value, list) else [value])
            return batcher.run(Call(model, "s", {"x": rows}, True, {}), math.inf)

        first = asyncio.create_task(call(1000))
        await asyncio.to_thread(model.begun.wait, 10)
        others = [asyncio.create_task(call(value)) for value in values]
        await asyncio.sleep(0.05)
        model.free.set()
        answers = await asyncio.gather(first, *others)
        batcher.stop()
        return [(answer.status, answer.body) for answer in answers]

    return asyncio.run(ask_all())


def test_who_comes_while_the_model_runs_is_joined():
    model = Doubling()
    answers = ask(model, [1, [2, 3], 4])
    assert model.asked == [[1000], [1, 2, 3, 4]]
    assert [body for _, body in answers] == [
        b'{"predictions":[2000]}',
        b'{"predictions":[2]}',
        b'{"predictions":[4,6]}',
        b'{"predictions":[8]}',
    ]


def test_a_joined_call_has_so_many_rows_at_most():
    model = Doubling()
    ask(model, [1, [2, 3, 4], 5], BatchingParameters(max_batch_size=4))
    assert model.asked == [[1000], [1, 2, 3, 4], [5]]
    model = Doubling()
    ask(model, [[1, 2, 3, 4, 5], 6], BatchingParameters(max_batch_size=4), num_threads=1)
    assert model.asked[1:] == [[1, 2, 3, 4, 5], [6]]  # a larger one runs alone


def test_a_joined_call_is_filled_up_to_a_size_allowed():
    model = Doubling()
    parameters = BatchingParameters(max_batch_size=8, allowed_batch_sizes=(1, 4, 8))
    answers = ask(model, [1, 2], parameters)
    assert model.asked == [[1000], [1, 2, 1, 1]]
    assert [body for _, body in answers[1:]] == [b'{"predictions":[2]}', b'{"predictions":[4]}']


def test_a_call_alone_is_filled_up_as_well():
    model = Doubling(lambda inputs: (inputs["x"] >= 0).all())
    parameters = BatchingParameters(max_batch_size=4, allowed_batch_sizes=(1, 4))
    answers = ask(model, [[2, 3, 4], [-5, 6, 7], [8], [0, 1, 2, 3]], parameters, num_threads=1)
    assert model.asked[0] == [1000]  # of a size allowed
    assert sorted(model.asked[1:]) == [[-5, 6, 7], [0, 1, 2, 3], [2, 3, 4, 8]]
    assert [status for status, _ in answers] == [200, 200, 400, 200, 200]
    model = Doubling()
    answers = ask(model, [[2, 3, 4]], parameters)
    assert model.asked[1:] == [[2, 3, 4, 2]]
    assert answers[1][1] == b'{"predictions":[4,6,8]}'


def test_without_batching_every_call_is_alone():
    model = Doubling()
    ask(model, [1, 2, 3], NO_BATCHING, num_threads=1)
    assert model.asked == [[1000], [1], [2], [3]]


def test_what_the_model_would_refuse_runs_alone():
    model = Doubling(lambda inputs: (inputs["x"] >= 0).all())
    answers = ask(model, [1, -2, 3], num_threads=1)
    assert sorted(model.asked[1:]) == [[-2], [1, 3]]
    assert [status for status, _ in answers] == [200, 200, 400, 200]


def test_rows_of_another_shape_are_not_joined():
    model = Doubling()
    ask(model, [1, [[2, 3]], 4], num_threads=1)
    assert len(model.asked) == 3
    assert [1, 4] in model.asked
    assert [[2, 3]] in model.asked


def test_an_error_is_his_alone_who_caused_it(caplog):
    """Even if nothing was wrong to be seen before: the model is asked again for each."""
    answers = ask(Doubling(), [1, -2, 3])
    assert [status for status, _ in answers] == [200, 200, 400, 200]
    assert answers[2][1] == b'{"error":"negative: [-2]"}'
    assert answers[3][1] == b'{"predictions":[6]}'
    assert "Joined calls failed and are run one by one" in caplog.text


async def _leave(batcher, call):
    await asyncio.wait_for(batcher.run(call, math.inf), 0.05)


async def _be_late(batcher, call):
    await batcher.run(call, asyncio.get_running_loop().time() + 0.05)


@pytest.mark.parametrize("end", [_leave, _be_late])
def test_a_call_that_ends_before_it_begins_is_not_run(end):
    model = Doubling()

    async def leave():
        batcher = Batcher(BatchingParameters(), 1)
        call = Call(model, "s", {"x": np.array([1])}, True, {})
        first = asyncio.create_task(batcher.run(call, math.inf))
        await asyncio.to_thread(model.begun.wait, 10)
        with pytest.raises(TimeoutError):
            await end(batcher, call)
        model.free.set()
        await first
        await batcher.run(call, math.inf)
        batcher.stop()

    asyncio.run(leave())
    assert model.asked == [[1], [1]]


def test_a_full_queue_is_told():
    model = Doubling()
    with pytest.raises(RequestError, match="queue is full") as caught:
        ask(model, [1, 2, 3], BatchingParameters(max_batch_size=2, max_enqueued_batches=1), 1)
    model.free.set()
    assert caught.value.status == 503


def test_callers_whose_calls_just_ended_are_waited_for(monkeypatch):
    monkeypatch.setattr(batching, "_PATIENCE", 1e6)
    monkeypatch.setattr(batching, "_MOST_PATIENCE", 60.0)
    model = Doubling()

    async def ask_in_turns():
        batcher = Batcher(BatchingParameters(num_batch_threads=1), 2)

        def call(value):
            rows = {"x": np.array([value])}
            return asyncio.create_task(batcher.run(Call(model, "s", rows, True, {}), math.inf))

        first = call(1)
        await asyncio.to_thread(model.begun.wait, 10)
        others = [call(2), call(3)]
        await asyncio.sleep(0.05)
        model.free.set()
        await first
        await asyncio.wait_for(asyncio.gather(*others, call(4)), 30)
        early = [call(5), call(6)]
        await asyncio.sleep(0.05)
        await asyncio.wait_for(asyncio.gather(*early, call(7)), 30)
        batcher.stop()

    asyncio.run(ask_in_turns())
    assert model.asked == [[1], [2, 3, 4], [5, 6, 7]]


def test_threads_are_woken_for_the_first_call_and_for_the_last_that_is_waited_for(monkeypatch):
    monkeypatch.setattr(batching, "_PATIENCE", 1e6)
    monkeypatch.setattr(batching, "_MOST_PATIENCE", 60.0)
    model = Doubling()
    model.free.set()
    woken = []

    async def ask_in_turns():
        batcher = Batcher(BatchingParameters(batch_timeout_micros=200_000), 2)
        notify = batcher._changed.notify
        monkeypatch.setattr(batcher._changed, "notify", lambda: woken.append(1) or notify())
        for _ in range(2):
            rows = [{"x": np.array([value])} for value in range(6)]
            calls = [batcher.run(Call(model, "s", row, True, {}), math.inf) for row in rows]
            await asyncio.wait_for(asyncio.gather(*calls), 30)
            woken.append("answered")
        monkeypatch.undo()
        batcher.stop()

    asyncio.run(ask_in_turns())
    assert model.asked == [[0, 1, 2, 3, 4, 5]] * 2
    assert woken == [1, "answered", 1, "answered"]


def test_a_single_caller_waits_for_nobody(monkeypatch):
    monkeypatch.setattr(batching, "_PATIENCE", 1e6)
    monkeypatch.setattr(batching, "_MOST_PATIENCE", 60.0)
    model = Doubling()
    model.free.set()

    async def ask_in_turns():
        batcher = Batcher(BatchingParameters(), 2)
        for value in range(3):
            rows = {"x": np.array([value])}
            await asyncio.wait_for(batcher.run(Call(model, "s", rows, True, {}), math.inf), 30)
        batcher.stop()

    asyncio.run(ask_in_turns())
    assert model.asked == [[0], [1], [2]]


def test_a_call_waits_for_others_if_it_is_told_to():
    model = Doubling()
    model.free.set()

    async def ask_two():
        batcher = Batcher(BatchingParameters(batch_timeout_micros=300_000), 2)
        calls = [Call(model, "s", {"x": np.array([n])}, True, {}) for n in (1, 2)]
        first = asyncio.create_task(batcher.run(calls[0], math.inf))
        await asyncio.sleep(0.05)
        await asyncio.gather(first, batcher.run(calls[1], math.inf))
        batcher.stop()

    asyncio.run(ask_two())
    assert model.asked == [[1, 2]]


def test_parameters_are_read_as_tensorflow_serving_has_them(tmp_path):
    file = tmp_path / "batching"
    file.write_text(
        "max_batch_size { value: 8 } batch_timeout_micros { value: 0 } "
        "max_enqueued_batches { value: 5 } num_batch_threads { value: 2 } "
        "allowed_batch_sizes: 4 allowed_batch_sizes: 8 pad_variable_length_inputs: true"
    )
    assert read_parameters(file) == BatchingParameters(8, 0, 5, 2, (4, 8))
    file.write_text("")
    assert read_parameters(file) == BatchingParameters()
    for text, message in (
        ("max_batch_size { value: 0 }", "`max_batch_size` must be at least 1"),
        ("allowed_batch_sizes: 4", r"must ascend to `max_batch_size`, 64. Received: \[4\]"),
        ("max_batch_size: 3", "cannot be read"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_parameters(file)


METADATA = {
    "signature_def": {
        "s": {
            "inputs": {"seed": {"dtype": "DT_INT64", "tensor_shape": {"dim": [{"size": "-1"}]}}},
            "outputs": {},
        }
    }
}


@pytest.mark.parametrize(
    ("function", "joined"),
    [
        (lambda seed: 2.0 * seed, True),
        (lambda seed: seed - seed.mean(), False),  # of all rows together
        (lambda seed: np.random.default_rng().normal(size=len(seed)), False),
        (lambda seed: seed.sum(), False),  # without rows
    ],
    ids=["row by row", "mean", "random", "scalar"],
)
def test_what_changes_when_it_is_joined_is_not_joined(function, joined):
    requests = [("s", {"seed": np.arange(4)})]
    checks = JoinChecks(METADATA, lambda name, inputs: {"y": function(inputs["seed"])}, requests)
    assert set(checks.signatures) == ({"s"} if joined else set())
    if joined:
        assert checks.accept("s", {"seed": np.array([5])})
        assert not checks.accept("s", {"seed": np.array([-5])})  # the model shall refuse it alone
        assert not checks.accept("s", {"seed": np.array([[5]])})


def test_a_signature_that_was_not_tried_is_not_joined():
    checks = JoinChecks(METADATA, lambda name, inputs: {"y": inputs["seed"]}, [])
    assert not checks.signatures


def test_pixels_may_differ_by_one_level():
    import io

    from PIL import Image

    def png(value):
        file = io.BytesIO()
        Image.fromarray(np.full((2, 2, 3), value, np.uint8)).save(file, "png")
        return np.array([file.getvalue()], object)

    assert joining._is_same(png(7), png(8))
    assert not joining._is_same(png(7), png(9))
    assert not joining._is_same(png(7), np.array([b"no image"], object))
