"""Summarises the measures of all runs: the rates of each arm, and the gains of attention."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sagan_tf import geotex
from sagan_tf.study.plans import COMPARISONS
from sagan_tf.study.significance import Difference, interaction, mean_gain, wilson_interval

GEOMETRY = tuple(geotex.GEOMETRIES)
TEXTURE = tuple(name for name in geotex.CLASS_NAMES if name not in GEOMETRY)
# Rates over images; the third is over readable images only.
RATES = ("readable", "satisfied", "satisfied_if_readable")
# What the runs of a pair have in common: their group (see `Run`) and their seed.
Pair = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Rate:
    """A rate over the images of all seeds, with its 95 % interval; NaN if there are no images."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The gain of one arm over another, from pairs of runs with the same classes and seed.

    Attributes:
        arm: the first arm.
        other: the arm that it is compared with.
        gains: mean gain in graded values, by class.
        geometry: test of the mean gain over the geometry classes.
        texture: test of the mean gain over the texture classes.
        interaction: test of the gain in geometry minus the gain in texture.
        group: group of the runs, see `Run`; empty for the runs of all groups.
    """

    arm: str
    other: str
    gains: dict[str, float]
    geometry: Difference
    texture: Difference
    interaction: Difference
    group: str = ""


class Findings:
    """All records of a study, by arm, group, seed, step and whether the generator is averaged.

    Args:
        records: records of all runs, as `load_measures` returns them; of records with the same key
            the last one counts.

    Attributes:
        arms: names of the arms.
        groups: names of the groups, see `Run`; records of other versions have the group "".
        geometry: names of the geometry classes that any run has learned.
        texture: names of the texture classes that any run has learned.
    """

    def __init__(self, records: Sequence[dict[str, Any]]) -> None:
        self._records = {
            (record["arm"], _pair(record), record["step"], record["averaged"]): record
            for record in records
        }
        self.arms = tuple(dict.fromkeys(record["arm"] for record in records))
        self.groups = tuple(dict.fromkeys(_pair(record)[0] for record in records))
        known = {name for record in records for name in record["classes"]}
        self.geometry = tuple(name for name in GEOMETRY if name in known)
        self.texture = tuple(name for name in TEXTURE if name in known)

    def pairs(self, arm: str, step: int, averaged: bool, name: str | None = None) -> list[Pair]:
        """Group and seed of the arm's runs that were measured at this step.

        With a `name`, of those alone that have learned this class.
        """
        return sorted(
            pair
            for (of_arm, pair, of_step, of_averaged), record in self._records.items()
            if (of_arm, of_step, of_averaged) == (arm, step, averaged)
            and (name in record["classes"] if name else record["classes"])
        )

    def steps(self, averaged: bool, arm: str | None = None, name: str | None = None) -> list[int]:
        """Steps at which images were measured: of any arm or one, of any class or one."""
        return sorted(
            {
                step
                for (of_arm, _, step, of_averaged), record in self._records.items()
                if of_averaged == averaged
                and arm in (None, of_arm)
                and (name in record["classes"] if name else record["classes"])
            }
        )

    def values(self, arm: str, step: int, averaged: bool, name: str, score: str) -> list[float]:
        """The values of a class's score, in the order of `pairs` with this class."""
        return [
            self._records[arm, pair, step, averaged]["classes"][name].get(score, math.nan)
            for pair in self.pairs(arm, step, averaged, name)
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
        """Records of an arm with attention measures, by step, group and seed; step 0 is random."""
        return sorted(
            (
                record
                for (of_arm, *_), record in self._records.items()
                if of_arm == arm and record["attention"]
            ),
            key=lambda record: (record["step"], _pair(record)),
        )

    def comparisons(self, steps: Sequence[int], averaged: bool) -> list[Comparison]:
        """The `COMPARISONS` for which both arms have runs at these steps.

        Runs are paired by group and seed; the grades of a run are means over the steps. If the
        study has several groups, the comparison over all is followed by that of each group.
        """
        found = []
        for arm, other in COMPARISONS:
            gains = self._gains(arm, other, steps, averaged)
            if not gains:
                continue
            found.append(self._comparison(arm, other, list(gains.values())))
            for group in self.groups if len(self.groups) > 1 else ():
                of_group = [gain for pair, gain in gains.items() if pair[0] == group]
                if of_group:
                    found.append(self._comparison(arm, other, of_group, group))
        return found

    def _comparison(
        self, arm: str, other: str, gains: list[dict[str, float]], group: str = ""
    ) -> Comparison:
        by_class = {
            name: float(np.mean([gain[name] for gain in gains if name in gain]))
            for name in (*self.geometry, *self.texture)
            if any(name in gain for gain in gains)
        }
        geometry, texture = mean_gain(gains, GEOMETRY), mean_gain(gains, TEXTURE)
        both = interaction(gains, GEOMETRY, TEXTURE)
        return Comparison(arm, other, by_class, geometry, texture, both, group)

    def _gains(
        self, arm: str, other: str, steps: Sequence[int], averaged: bool
    ) -> dict[Pair, dict[str, float]]:
        """By group and seed, the gain in graded values of each class that both runs learned."""
        pairs = set.intersection(
            *(set(self.pairs(one, step, averaged)) for one in (arm, other) for step in steps)
        )
        found = {}
        for pair in sorted(pairs):
            mine, theirs = (self._grades(one, pair, steps, averaged) for one in (arm, other))
            found[pair] = {name: mine[name] - theirs[name] for name in mine if name in theirs}
        return found

    def _grades(
        self, arm: str, pair: Pair, steps: Sequence[int], averaged: bool
    ) -> dict[str, float]:
        """The mean grade over the steps of each class that a run learned."""
        records = [self._records[arm, pair, step, averaged]["classes"] for step in steps]
        return {
            name: float(np.mean([record[name]["graded"] for record in records]))
            for name in records[0]
        }


def _pair(record: Mapping[str, Any]) -> Pair:
    return record.get("group", ""), record["seed"]
