"""Features that are the same everywhere, and what torch-fidelity 0.4.0 makes of them."""

import numpy as np

# tests/evaluation/test_torch_fidelity.py asks it again.
SCORES = {
    "fid": 2.5009502271840347,
    "kid": (0.291441478729248, 0.25868944991689413),  # 50 subsets of 200
    "precision": 521 / 700,
    "recall": 697 / 800,
    "is": (7.401254926958076, 0.49211789837676545),
    "is_1split": (8.107138169754379, 0.0),
}


def features(count, seed, shift=0.0):
    """Correlated, not negative, of a spectrum that falls: float32 `(count, 48)`."""
    mixing = np.random.RandomState(0).standard_normal((48, 48)) / np.arange(1, 49)[:, None] ** 0.5
    rows = np.random.RandomState(seed).standard_normal((count, 48)) @ mixing + shift
    return np.maximum(rows, 0).astype(np.float32)


def real():
    return features(800, seed=1)


def fake():
    return features(700, seed=2, shift=0.2)


def logits():
    return 3 * np.random.RandomState(3).standard_normal((605, 40)).astype(np.float32)
