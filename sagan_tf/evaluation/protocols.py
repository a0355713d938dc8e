"""Evaluation protocols: how scores are made, so that only like is compared with like."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Protocol:
    """All choices that change a score, apart from the images themselves.

    Attributes:
        name: name of the protocol. The defaults of the other fields are those of "fidelity".
        resize: how images get the extractor's size: "legacy" as in TensorFlow 1, bilinear without
            antialiasing; "clean" as in Pillow, bicubic with antialiasing (arXiv 2104.11222).
        num_images: number of generated images.
        num_real: largest number of real images.
        labels: labels of generated images: "balanced" or "uniform", see `images.asked_classes`.
        quantized: whether generated images are rounded to 8 bits.
        inception_splits: number of splits for the Inception score.
        shuffled: whether images are shuffled before they are split.
        kernel_subsets: number of subsets for the kernel distance; 0 for none.
        kernel_subset_size: number of images in each subset.
        precision_k: number of neighbours for precision and recall.
        density_k: number of neighbours for density and coverage.
    """

    name: str
    resize: str = "legacy"
    num_images: int = 50_000
    num_real: int = 50_000
    labels: str = "balanced"
    quantized: bool = True
    inception_splits: int = 10
    shuffled: bool = True
    kernel_subsets: int = 100
    kernel_subset_size: int = 1000
    precision_k: int = 3
    density_k: int = 5


# Metrics, and a pattern for the names of the scores that each of them gives.
METRICS = {
    "is": "is",
    "fid": "fid|frechet_distance",
    "fid_infinity": "(fid|frechet_distance)_infinity",
    "sfid": "sfid",
    "intra_fid": "intra_.*",
    "kid": "kid|kernel_distance",
    "overlap": "precision",
    "agreement": "label_agreement",
    "spread": "within_class_spread|spread_of_all",
}

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        # torch-fidelity 0.4.
        Protocol("fidelity"),
        # brain-research/self-attention-gan, eval_imagenet.py: pixels stay floats, classes are
        # drawn at random, and the Inception score has a single split.
        Protocol("sagan", labels="uniform", quantized=False, inception_splits=1, shuffled=False),
        # GaParmar/clean-fid.
        Protocol("clean", resize="clean"),
        # openai/guided-diffusion, evaluations/evaluator.py.
        Protocol("adm", shuffled=False, num_real=10_000),
    )
}


def difference(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> str | None:
    """The name of a field in which two JSON objects differ; `None` if they are equal."""
    for name in sorted(first.keys() | second.keys()):
        here, there = (side.get(name) for side in (first, second))
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            found = difference(here, there, f"{prefix}{name}.")
            if found is not None:
                return found
        elif here != there:
            return f"{prefix}{name}"
    return None
