"""Reads published statistics of real features from `.npz` files."""

import os
import zlib
from zipfile import BadZipFile

import numpy as np

from sagan_tf.evaluation.moments import Moments

# Names of mean and covariance in a file, by the features of the 2015 network: the names of
# bioinf-jku/TTUR and mseitzer/pytorch-fid, and those of openai/guided-diffusion for sFID.
_NAMES = {"2048": ("mu", "sigma"), "spatial": ("mu_s", "sigma_s")}


def read_moments(path: str | os.PathLike) -> dict[str, Moments]:
    """Moments by the name of the features; empty if the file has none.

    Raises:
        ValueError: if the file cannot be read, or shapes do not fit.
    """
    moments = {}
    try:
        # Opened here, because NumPy would leave the file of a damaged archive open.
        with open(path, "rb") as archive, np.load(archive) as file:
            for features, (mean_name, covariance_name) in _NAMES.items():
                if mean_name in file:
                    mean, covariance = file[mean_name], file[covariance_name]
                    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
                        raise ValueError(
                            f"`{mean_name}` is {mean.shape}, `{covariance_name}` is "
                            f"{covariance.shape}"
                        )
                    moments[features] = Moments(
                        None, mean.astype(np.float64), covariance.astype(np.float64)
                    )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no file of statistics: {error}") from None
    return moments
