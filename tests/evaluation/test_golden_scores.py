"""Scores of fixed features are torch-fidelity's, whether or not it is installed."""

import numpy as np
import pytest

from sagan_tf.evaluation.frechet import frechet_distance
from sagan_tf.evaluation.inception_score import inception_score
from sagan_tf.evaluation.kernel_distance import kernel_distance, subset_kernel_distance
from sagan_tf.evaluation.manifold import manifold_scores
from sagan_tf.evaluation.moments import MomentsStream, moments_of
from tests.support import golden_scores

SCORES = golden_scores.SCORES


@pytest.fixture(scope="module")
def sides():
    return golden_scores.real(), golden_scores.fake()


def test_frechet_distance(sides):
    distance = frechet_distance(*map(moments_of, sides))
    assert distance == pytest.approx(SCORES["fid"], rel=1e-6)


@pytest.mark.parametrize("replicas", [2, 3])
def test_frechet_distance_of_replicas_merged(sides, replicas):
    merged = []
    for rows in sides:
        streams = [MomentsStream(rows.shape[1]) for _ in range(replicas)]
        for index, stream in enumerate(streams):
            for batch in np.array_split(rows[index::replicas], 5):
                stream.update(batch)
        for other in streams[1:]:
            streams[0].merge(other)
        merged.append(streams[0].result())
    assert frechet_distance(*merged) == pytest.approx(SCORES["fid"], rel=1e-6)


def test_kernel_distance(sides):
    found = subset_kernel_distance(*sides, subsets=50, subset_size=200)
    assert found == pytest.approx(SCORES["kid"], rel=1e-6)
    # Without the noise of subsets: within their spread over the root of their number, and a bit.
    assert kernel_distance(*sides) == pytest.approx(SCORES["kid"][0], abs=0.1)


def test_precision_and_recall(sides):
    found = manifold_scores(*sides)
    assert (found.precision, found.recall) == (SCORES["precision"], SCORES["recall"])


def test_inception_score():
    logits = golden_scores.logits()
    assert inception_score(logits, 10, 2020) == pytest.approx(SCORES["is"], rel=1e-8)
    assert inception_score(logits, 1) == pytest.approx(SCORES["is_1split"], rel=1e-8)
