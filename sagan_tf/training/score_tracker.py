"""Scores the generator while it trains, and keeps the checkpoint that scores best."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sagan_tf.evaluation.counts import check_counts
from sagan_tf.evaluation.evaluation import evaluate, gives_logits, ranking_score, unlike
from sagan_tf.evaluation.feature_files import Extractor, extract_features
from sagan_tf.evaluation.images import GeneratedImages, Images, RealImages
from sagan_tf.evaluation.protocols import Protocol
from sagan_tf.machine.team import SINGLE_PROCESS, Team
from sagan_tf.output.files import write_text
from sagan_tf.run.checkpoint import Checkpoints
from sagan_tf.run.workdir import add_score, load_scores
from sagan_tf.training.trainer import SAGAN

_RECORD = "score.json"


class ScoreTracker:
    """Scores the generator of a run, and keeps the checkpoint with the lowest Frechet distance.

    Args:
        workdir: the run's directory.
        sagan: the compiled model.
        best: checkpoints in a directory of their own, for the best one.
        real: the real images; the constructor extracts their features.
        extractor: feature extractor.
        protocol: evaluation protocol.
        metrics: names of the metrics to compute; they must include `fid`, which ranks checkpoints.
        cache: directory in which features are cached.
        team: the workers; each extracts the features of a part of the images, and the chief alone
            writes files.

    Raises:
        ValueError: if the run's scores are damaged, or there are too few images for a metric.
        OSError: if features cannot be written.
    """

    def __init__(
        self,
        workdir: Path,
        sagan: SAGAN,
        best: Checkpoints,
        real: RealImages,
        extractor: Extractor,
        protocol: Protocol,
        metrics: Collection[str],
        cache: Path,
        team: Team = SINGLE_PROCESS,
    ) -> None:
        self._workdir = workdir
        self._sagan = sagan
        self._best = best
        self._real = real
        self._extractor = extractor
        self._protocol = protocol
        self._metrics = metrics
        self._cache = cache
        self._team = team
        logits = gives_logits(extractor)
        images = protocol.num_images, real.num_images
        check_counts(metrics, protocol, *images, logits, flag="eval_images")
        steps = [record["step"] for record in load_scores(workdir)]
        self._scored = set(json.loads(team.broadcast(json.dumps(steps))))
        extract_features(real, extractor, cache, "real images", team=team)

    def scored(self, step: int) -> bool:
        """Whether the run has a score of this step."""
        return step in self._scored

    def score(self, step: int, check: Callable[[], None]) -> Mapping[str, float]:
        """Scores the current generator, and saves a checkpoint if it is the best so far.

        Args:
            step: current training step.
            check: called between batches of images. It may raise to interrupt the work; features
                extracted so far are found again next time. It is not called with several workers,
                which would no longer be in step.

        Returns:
            The scores by name, which are also added to the run's `scores.jsonl`; empty for workers
            that are not the chief.
        """
        generated = GeneratedImages(
            self._sagan.sampling_generator(), self._protocol.num_images, self._protocol.labels
        )
        evaluation = evaluate(
            self._real,
            _Checked(generated, check) if self._team.size == 1 else generated,
            self._extractor,
            self._protocol,
            self._metrics,
            self._cache,
            team=self._team,
        )
        self._scored.add(step)
        if evaluation is None:
            return {}
        evaluation.features.remove()
        record = {"step": step, **evaluation.record}
        add_score(self._workdir, record)
        if self._is_best(record):
            self._best.save(step)
            self._best.remove_all_but(step)
            # Written last, as a record without its checkpoint would be taken for the best.
            write_text(self._best.directory / _RECORD, json.dumps(record, indent=1) + "\n")
        return record["scores"]

    def _is_best(self, record: Mapping[str, Any]) -> bool:
        path = self._best.directory / _RECORD
        if not path.exists():
            return True
        before = json.loads(path.read_text())
        return unlike(before, record) is not None or ranking_score(record) < ranking_score(before)


class _Checked:
    """Images that call a check before each read."""

    def __init__(self, images: Images, check: Callable[[], None]) -> None:
        self._images = images
        self._check = check
        self.identity, self.num_images = images.identity, images.num_images

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        self._check()
        return self._images.read(start, stop)
