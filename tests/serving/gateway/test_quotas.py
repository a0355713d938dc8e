import pytest

from sagan_tf.serving.gateway.quotas import MovingWindow, Quotas
from sagan_tf.serving.server.rest import RequestError


def test_a_window_lets_through_so_much_in_any_minute():
    now = 1000.0
    window = MovingWindow(3, lambda: now)
    assert [window.take("a") for _ in range(5)] == [True, True, True, False, False]
    assert window.take("b", 3)
    assert not window.take("b")
    now = 1059.9
    assert not window.take("a")
    now = 1060.2
    assert window.take("a", 2)
    assert not window.take("a", 2)
    assert window.take("a", 1)


def test_callers_who_left_are_forgotten():
    now = 0.0
    window = MovingWindow(3, lambda: now)
    for index in range(1000):
        window.take(str(index))
    now = 130.0
    window.take("last")
    assert list(window._counts) == ["last"]


def test_more_than_the_limit_at_once_never_passes():
    assert not MovingWindow(3).take("a", 4)


def test_calls_at_a_time():
    quotas = Quotas(10, 10, max_in_flight=3, max_in_flight_per_caller=2)
    with quotas.slot("a"), quotas.slot("a"):
        with pytest.raises(RequestError, match="At most 2 calls at a time") as caught:
            quotas.slot("a").__enter__()
        assert (caught.value.status, caught.value.retry_after) == (429, 1)
        with quotas.slot("b"):
            with pytest.raises(RequestError, match="The model is busy") as caught:
                quotas.slot("b").__enter__()
            assert caught.value.status == 503
            assert quotas.in_flight == 3
    assert quotas.in_flight == 0


def test_images_and_requests_are_counted_apart():
    quotas = Quotas(2, 100, 1, 1)
    quotas.count_images("a", 64)
    with pytest.raises(RequestError, match="At most 100 images a minute"):
        quotas.count_images("a", 64)
    quotas.count_request("a")
    quotas.count_request("a")
    with pytest.raises(RequestError, match="At most 2 requests a minute"):
        quotas.count_request("a")
