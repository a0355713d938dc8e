"""Summarises the measures of all runs: the rates of each arm, and the gains of attention."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sagan_tf import geotex
from sagan_tf.study.plans import COMPARISONS
from sagan_tf.study.significance import Difference, interaction, sign_flip_test, wilson_interval

GEOMETRY = tuple(geotex.GEOMETRIES)
TEXTURE = tuple(name for name in geotex.CLASS_NAMES if name not in GEOMETRY)
# Rates over images; the third is over readable images only.
RATES = ("readable", "satisfied", "satisfied_if_readable")


@dataclasses.dataclass(frozen=True)
class Rate:
    """A rate over the images of all seeds, with its 95 % interval; NaN if there are no images."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The gain of one arm over another, from pairs of runs with the same seed.

    Attributes:
        arm: the first arm.
        other: the arm that it is compared with.
        gains: mean gain in graded values, by class.
        geometry: test of the mean gain over the geometry classes.
        texture: test of the mean gain over the texture classes.
        interaction: test of the gain in geometry minus the gain in texture.
    """

    arm: str
    other: str
    gains: dict[str, float]
    geometry: Difference
    texture: Difference
    interaction: Difference


class Findings:
    """All records of a study, by arm, seed, step and whether the generator is averaged.

    Args:
        records: records of all runs, as `load_measures` returns them; of records with the same key
            the last one counts.
    """

    def __init__(self, records: Sequence[dict[str, Any]]) -> None:
        self._records = {
            (record["arm"], record["seed"], record["step"], record["averaged"]): record
            for record in records
        }
        self.arms = tuple(dict.fromkeys(record["arm"] for record in records))

    def seeds(self, arm: str, step: int, averaged: bool) -> list[int]:
        """Seeds of the arm's runs that were measured at this step."""
        return sorted(
            seed
            for (of_arm, seed, of_step, of_averaged), record in self._records.items()
            if (of_arm, of_step, of_averaged) == (arm, step, averaged) and record["classes"]
        )

    def steps(self, arm: str, averaged: bool) -> list[int]:
        """Steps at which images of an arm were measured."""
        return sorted(
            {
                step
                for (of_arm, _, step, of_averaged), record in self._records.items()
                if (of_arm, of_averaged) == (arm, averaged) and record["classes"]
            }
        )

    def values(self, arm: str, step: int, averaged: bool, name: str, score: str) -> list[float]:
        """The values of a class's score, in the order of `seeds`."""
        return [
            self._records[arm, seed, step, averaged]["classes"][name][score]
            for seed in self.seeds(arm, step, averaged)
        ]

    def rate(self, arm: str, step: int, averaged: bool, name: str, rate: str) -> Rate:
        """One of the `RATES` of a class, over the images of all seeds."""
        counts = self.values(arm, step, averaged, name, "count")
        readable = self.values(arm, step, averaged, name, "readable")
        satisfied = self.values(arm, step, averaged, name, "satisfied")
        shown = readable if rate == "readable" else satisfied
        successes = round(float(np.dot(shown, counts)))
        total = round(
            float(np.dot(readable, counts) if rate == "satisfied_if_readable" else sum(counts))
        )
        if not total:
            return Rate(math.nan, math.nan, math.nan)
        return Rate(successes / total, *wilson_interval(successes, total))

    def attention(self, arm: str) -> list[dict[str, Any]]:
        """Records of an arm with attention measures, by step and seed; step 0 is untrained."""
        return sorted(
            (
                record
                for (of_arm, *_), record in self._records.items()
                if of_arm == arm and record["attention"]
            ),
            key=lambda record: (record["step"], record["seed"]),
        )

    def comparisons(self, step: int, averaged: bool) -> list[Comparison]:
        """The `COMPARISONS` for which both arms have runs at this step, paired by seed."""
        found = []
        for arm, other in COMPARISONS:
            seeds = set(self.seeds(arm, step, averaged)) & set(self.seeds(other, step, averaged))
            if not seeds:
                continue
            gains = {
                name: [
                    self._graded(arm, seed, step, averaged, name)
                    - self._graded(other, seed, step, averaged, name)
                    for seed in sorted(seeds)
                ]
                for name in (*GEOMETRY, *TEXTURE)
            }
            geometry, texture = (
                sign_flip_test(np.mean([gains[name] for name in names], axis=0))
                for names in (GEOMETRY, TEXTURE)
            )
            means = {name: float(np.mean(values)) for name, values in gains.items()}
            both = interaction(gains, GEOMETRY, TEXTURE)
            found.append(Comparison(arm, other, means, geometry, texture, both))
        return found

    def _graded(self, arm: str, seed: int, step: int, averaged: bool, name: str) -> float:
        return self._records[arm, seed, step, averaged]["classes"][name]["graded"]
