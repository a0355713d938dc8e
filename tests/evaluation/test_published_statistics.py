import numpy as np
import pytest

from sagan_tf.evaluation.published_statistics import read_moments


def test_reads_both_layouts(tmp_path):
    mean, covariance = np.arange(3, dtype=np.float32), np.eye(3)
    np.savez(tmp_path / "fid.npz", mu=mean, sigma=covariance)
    (moments,) = read_moments(tmp_path / "fid.npz").values()
    assert moments.count is None
    assert moments.mean.dtype == np.float64
    np.testing.assert_array_equal(moments.covariance, covariance)
    np.savez(
        tmp_path / "adm.npz", mu=mean, sigma=covariance, mu_s=mean[:2], sigma_s=np.eye(2), arr_0=0
    )
    found = read_moments(tmp_path / "adm.npz")
    assert found.keys() == {"2048", "spatial"}
    assert found["spatial"].mean.tolist() == [0, 1]
    np.savez(tmp_path / "images.npz", arr_0=0)
    assert read_moments(tmp_path / "images.npz") == {}


def test_what_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", mu=np.zeros(3), sigma=np.eye(2))
    with pytest.raises(ValueError, match=r"`mu` is \(3,\), `sigma` is \(2, 2\)"):
        read_moments(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", mu=np.zeros(3))
    (tmp_path / "c.npz").write_text("x")
    (tmp_path / "empty.npz").touch()
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:300])
    for name in ("b.npz", "c.npz", "empty.npz", "cut.npz", "none.npz"):
        with pytest.raises(ValueError, match="is no file of statistics"):
            read_moments(tmp_path / name)
