import numpy as np
import pytest

from sagan_tf.evaluation import feature_files as module
from sagan_tf.evaluation.feature_files import extract_features


class Numbers:
    """Image i is filled with i; its class is i modulo 3."""

    def __init__(self, num_images=10, dtype=np.uint8, broken=None):
        self.num_images = num_images
        self.identity = {"numbers": num_images, "dtype": str(dtype)}
        self._dtype = dtype
        self.broken = broken
        self.reads = []

    def read(self, start, stop):
        if self.broken is not None and start <= self.broken < stop:
            raise KeyboardInterrupt
        self.reads.append((start, stop))
        numbers = np.arange(start, stop)
        images = np.broadcast_to(numbers[:, None, None, None], (stop - start, 2, 2, 1))
        return images.astype(self._dtype), (numbers % 3).astype(np.int32)


class Sums:
    name = "sums"
    identity = {"network": "sums"}  # noqa: RUF012

    def __call__(self, images):
        sums = images.astype(np.float32).sum(axis=(1, 2))
        return {"sum": sums, "twice": np.repeat(2 * sums, 2, axis=1)}


def check(found, count=10):
    np.testing.assert_array_equal(found["sum"][:, 0], 4 * np.arange(count))
    np.testing.assert_array_equal(found["twice"], 8 * np.arange(count)[:, None] * [1, 1])
    assert found.labels.tolist() == [number % 3 for number in range(count)]
    assert found.names == ("sum", "twice")


@pytest.mark.parametrize("batch_size", [64, 3, 1])
def test_rows_are_the_images_in_any_batch(tmp_path, batch_size):
    check(extract_features(Numbers(), Sums(), tmp_path, "numbers", batch_size))


def test_what_is_done_is_not_done_again(tmp_path):
    extract_features(Numbers(), Sums(), tmp_path, "numbers")
    images = Numbers()
    found = extract_features(images, Sums(), tmp_path, "numbers")
    check(found)
    assert images.reads == []
    other = Numbers(num_images=11)
    check(extract_features(other, Sums(), tmp_path, "others"), 11)
    assert other.reads
    found.remove()
    assert len(list(tmp_path.iterdir())) == 1


def test_goes_on_after_an_interrupt(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        extract_features(Numbers(broken=7), Sums(), tmp_path, "numbers", batch_size=3)
    images = Numbers()
    check(extract_features(images, Sums(), tmp_path, "numbers", batch_size=3))
    assert images.reads == [(6, 9), (9, 10)]


def test_moments_are_of_the_rows_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 3)
    found = extract_features(Numbers(), Sums(), tmp_path, "numbers")
    for part, count in ((found, 10), (found.first(4), 4)):
        expected = np.cov(8 * np.arange(count)[:, None].repeat(2, axis=1).T)
        for _ in range(2):
            moments = part.moments("twice")
            np.testing.assert_allclose(moments.covariance, expected, rtol=1e-12)
            assert moments.mean.tolist() == [4 * (count - 1)] * 2
            assert moments.count == count == len(part) == len(part.labels)
            monkeypatch.setattr(module, "MomentsStream", None)  # not needed again
        monkeypatch.undo()


def test_what_was_half_written_is_written_over(tmp_path, monkeypatch):
    """Killed between the rows and the note of them: the rows are there twice as long."""

    def killed(*_):
        raise KeyboardInterrupt

    extract_features(Numbers(), Sums(), tmp_path, "numbers", batch_size=4).remove()
    with monkeypatch.context() as patch:
        calls = iter([module.write_text] * 2 + [killed])
        patch.setattr(module, "write_text", lambda *a: next(calls)(*a))
        with pytest.raises(KeyboardInterrupt):
            extract_features(Numbers(), Sums(), tmp_path, "numbers", batch_size=4)
    check(extract_features(Numbers(), Sums(), tmp_path, "numbers", batch_size=3))


def test_values_that_are_not_finite_name_the_batch(tmp_path):
    class Broken(Numbers):
        def read(self, start, stop):
            images, labels = super().read(start, stop)
            images = images.copy()
            images[(labels == 0) & (start == 4)] = np.nan
            return images, labels

    images = Broken(dtype=np.float32)
    with pytest.raises(
        ValueError, match="generated: images 4 to 7 hold values that are not finite"
    ):
        extract_features(images, Sums(), tmp_path, "generated", batch_size=4)


def test_a_full_disk_is_one_message_and_goes_on(tmp_path, file_size_limit):
    with file_size_limit(16), pytest.raises(OSError, match="File too large"):
        extract_features(Numbers(), Sums(), tmp_path, "numbers", batch_size=2)
    check(extract_features(Numbers(), Sums(), tmp_path, "numbers"))
