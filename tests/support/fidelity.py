"""torch-fidelity, a peer: its features and scores, of which ours are compared with.

It imports torchvision, whose wheel for GPUs does not find its own operators beside PyTorch's wheel
for CPUs. None of them is called here, so their names are enough.
"""

import os

import numpy as np
import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    _OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        _OPERATORS.define(f"{_name}(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")

from torch_fidelity import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import (
    interpolate_bilinear_2d_like_tensorflow1x,
)
from torch_fidelity.metric_fid import (
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

TAPS = ("64", "192", "768", "2048", "logits_unbiased", "logits")


def _channels_first(images):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1)))


def resized(images, size):
    """float32 `(N, size, size, C)` of uint8 `(N, H, W, C)`."""
    floats = _channels_first(images).float()
    floats = interpolate_bilinear_2d_like_tensorflow1x(floats, (size, size), align_corners=False)
    return np.moveaxis(floats.numpy(), 1, -1)


class Extractor:
    """torch-fidelity's `FeatureExtractorInceptionV3`, called as ours is."""

    def __init__(self, weights, taps=TAPS):
        self.taps = tuple(taps)
        self.module = FeatureExtractorInceptionV3(
            "peer", list(taps), feature_extractor_weights_path=os.fspath(weights)
        )

    def __call__(self, images):
        with torch.no_grad():
            features = self.module(_channels_first(images))
        return {tap: part.numpy() for tap, part in zip(self.taps, features, strict=True)}


def fid(first, second):
    """Of two sets of features, float `(N, D)`."""
    statistics = (fid_features_to_statistics(torch.from_numpy(part)) for part in (first, second))
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def isc(logits, splits=10, shuffle=True, seed=2020):
    """Mean and standard deviation of the Inception Score."""
    scores = isc_features_to_metric(torch.from_numpy(logits), splits, shuffle, seed)
    return scores["inception_score_mean"], scores["inception_score_std"]


def kid(first, second, subsets=100, subset_size=1000, seed=2020):
    """Mean and standard deviation over subsets."""
    features = (torch.from_numpy(part) for part in (first, second))
    options = {"kid_subsets": subsets, "kid_subset_size": subset_size, "rng_seed": seed}
    scores = kid_features_to_metric(*features, **options, verbose=False)
    return scores["kernel_inception_distance_mean"], scores["kernel_inception_distance_std"]


def prc(fake, real, neighborhood=3):
    """Precision and recall."""
    features = (torch.from_numpy(part) for part in (fake, real))
    scores = prc_features_to_metric(*features, prc_neighborhood=neighborhood, verbose=False)
    return scores["precision"], scores["recall"]
