"""Plans of studies: lists of runs to train that differ in one thing each."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from sagan_tf.geotex.drawing import ordered_classes

# The layer at the same feature map of both networks, as flags of `sagan_tf.train`. The residual
# block has as many weights as attention; local attention has the same weights and cost.
ARMS: dict[str, dict[str, Any]] = {
    "none": {"attention_resolutions": ()},
    "residual": {"mixing": "residual"},
    "local": {"mixing": "local_attention"},
    "attention": {"mixing": "attention"},
}
# Arm for the runs with attention, measured again with `gamma` set to 0 when images are generated.
OFF = "off"
# Pairs (arm, other) whose gain is tested if both were run.
COMPARISONS = (
    ("attention", "none"),
    ("attention", "residual"),
    ("attention", "local"),
    ("attention", OFF),
    ("residual", "none"),
)


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        name: name of the run's folder.
        arm: name of what distinguishes the run from others with its seed.
        seed: seed of weights, noise and the order of the data.
        flags: flags of `sagan_tf.train`.
        group: the classes of drawn images to learn, as in `twin,cells`; empty for all. Runs are
            compared with others of their group.
    """

    name: str
    arm: str
    seed: int
    flags: Mapping[str, Any]
    group: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A study.

    Attributes:
        title: title of the report.
        note: text that a reader must know before the numbers.
        runs: the runs, in the order in which they are trained.
        steps: steps of each run.
        samples: images per class to generate for each checkpoint's measures; 0 if
            `sagan_tf.evaluate` scores the runs instead.
        evaluation: flags of `sagan_tf.evaluate` for a finished run; empty for no final scores.
        ceiling: flags of `sagan_tf.evaluate` for real images against other real images; empty for
            no such scores.
        published: published scores by name, by arm.
        source: source of `published`.
    """

    title: str
    note: str
    runs: tuple[Run, ...]
    steps: int
    samples: int = 0
    evaluation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ceiling: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    published: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    source: str = ""

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms to train, in order."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))


@dataclasses.dataclass(frozen=True)
class GeotexPreset:
    """A size of the study of geometry against texture.

    Attributes:
        note: see `Plan`.
        arms: names from `ARMS`.
        seeds: number of seeds; every arm has one run for each seed.
        first_seed: the least of the seeds.
        steps: steps of each run.
        measure_every: steps between measured checkpoints.
        samples: see `Plan`.
        flags: flags of `sagan_tf.train`, in addition to its preset `geotex`.
        groups: classes to learn, one tuple for each group of runs; empty for all classes. Every
            group has all arms and seeds.
    """

    note: str
    arms: tuple[str, ...] = tuple(ARMS)
    seeds: int = 1
    first_seed: int = 0
    steps: int = 2000
    measure_every: int = 500
    samples: int = 200
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    groups: tuple[tuple[str, ...], ...] = ((),)


GEOTEX_PRESETS = {
    "smoke": GeotexPreset(
        "A trial of the instrument: one pair of runs, far from trained. It says nothing about "
        "attention.",
        arms=("none", "attention"),
    ),
    "cpu": GeotexPreset(
        "Each network learns two classes, one of geometry and one of texture: among all eight, "
        "small networks hardly learn geometry. Of ten pairs of runs, p can be as low as 0.002.",
        seeds=5,
        first_seed=1,  # the setting was found with seed 0
        steps=4000,
        samples=500,
        flags={"image_size": 16, "attention_resolutions": (8,)},
        groups=(("twin", "cells"), ("mirror", "fur")),
    ),
    "full": GeotexPreset(
        "Eight pairs of runs: a p-value can be as low as 0.008.",
        seeds=8,
        steps=50_000,
        measure_every=5000,
        samples=2000,
        flags={"global_batch_size": 64},
    ),
}


def geotex_plan(preset: GeotexPreset) -> Plan:
    """The plan of geometry against texture, on drawn images.

    Raises:
        ValueError: for classes that GeoTex does not have.
    """
    groups = [",".join(ordered_classes(names)) if names else "" for names in preset.groups]
    # All arms of one seed come before the next seed, so that an unfinished study has whole pairs.
    runs = tuple(
        _run(
            arm,
            seed,
            preset.steps,
            preset.measure_every,
            {"dataset": f"geotex:{group}".rstrip(":"), "preset": "geotex", **preset.flags},
            {"checkpoint_every": preset.measure_every, "max_to_keep": preset.steps},
            ARMS[arm],
            group=group,
        )
        for seed in range(preset.first_seed, preset.first_seed + preset.seeds)
        for group in groups
        for arm in preset.arms
    )
    return Plan("Geometry against texture", preset.note, runs, preset.steps, preset.samples)


def table_plan(
    table: str,
    steps: int,
    measure_every: int,
    flags: Mapping[str, Any],
    resolutions: tuple[int, ...],
    evaluation: Mapping[str, Any],
) -> Plan:
    """The plan of one of the paper's tables, which compare networks.

    Args:
        table: "1" for attention or a residual block by feature map, "2" for SAGAN's own row.
        steps: steps of each run.
        measure_every: steps between scores.
        flags: flags of every run: the data set, and settings that differ from its preset.
        resolutions: sizes of the paper's feature maps that the networks have.
        evaluation: see `Plan`; the table adds its metrics.
    """
    if table == "2":
        title = "SAGAN's row of the paper's table 2"
        arms = {"SAGAN": {"attention_resolutions": (max(resolutions),)}}
        metrics: tuple[str, ...] = ("is", "fid", "intra_fid")
    else:
        title = "The paper's table 1: attention or a residual block, by feature map"
        arms = {"none": ARMS["none"]} | {
            f"{kind} {resolution}": {**ARMS[kind], "attention_resolutions": (resolution,)}
            for kind in ("attention", "residual")
            for resolution in resolutions
        }
        metrics = ("is", "fid")
    runs = _scored_runs(arms, steps, measure_every, flags)
    published, source = _PUBLISHED[table]
    evaluation = {**evaluation, "metrics": metrics}
    return Plan(
        title, _PAPER_NOTE, runs, steps, evaluation=evaluation, published=published, source=source
    )


def stabilisation_plan(
    steps: int, measure_every: int, flags: Mapping[str, Any], rates: tuple[float, float]
) -> Plan:
    """The plan of the paper's figure on stabilising training (section 5.1).

    Args:
        steps: steps of each run.
        measure_every: steps between scores.
        flags: see `table_plan`.
        rates: the learning rates of the generator and the discriminator. Runs with equal learning
            rates use the geometric mean, as the paper does not give its value.
    """
    equal = (rates[0] * rates[1]) ** 0.5
    one_rate = {"generator_learning_rate": equal, "discriminator_learning_rate": equal}
    arms = {
        "SN on D": {"generator_spectral_normalization": False, **one_rate},
        "SN on G and D": one_rate,
        "SN on G and D, two rates": {},
    }
    note = (
        f"{_PAPER_NOTE} What the paper reports on ImageNet: with spectral normalisation (SN) of "
        "the discriminator alone training is unstable and collapses early; of both networks it "
        "is stable, but scores get worse from about step 260,000 on; with two learning rates "
        f"they get better up to step 1,000,000. Equal rates are {equal:g} here."
    )
    runs = _scored_runs(arms, steps, measure_every, flags)
    return Plan("The paper's figure of what stabilises training", note, runs, steps)


def _scored_runs(
    arms: Mapping[str, Mapping[str, Any]],
    steps: int,
    measure_every: int,
    flags: Mapping[str, Any],
) -> tuple[Run, ...]:
    return tuple(
        _run(arm, 0, steps, measure_every, {"eval_every": measure_every}, flags, differing)
        for arm, differing in arms.items()
    )


def _run(
    arm: str,
    seed: int,
    steps: int,
    measure_every: int,
    *flags: Mapping[str, Any],
    group: str = "",
) -> Run:
    """A run with all flags; later ones override earlier ones."""
    merged: dict[str, Any] = {"seed": seed, "steps": steps, "log_every": -(-measure_every // 10)}
    merged["sample_every"] = measure_every
    for some in flags:
        merged |= some
    name = f"{group.replace(',', '-')}-{arm.replace(',', '').replace(' ', '-')}-{seed}"
    return Run(name.lstrip("-"), arm, seed, merged, group)


_PAPER_NOTE = (
    "One run for each line, as in the paper: what differs little may be chance. Numbers of other "
    "data sets or shorter runs do not compare with the paper's."
)
# Scores that could be read in the paper itself; some cells of its tables could not.
_PUBLISHED = {
    "1": (
        {
            "attention 8": {"fid": 22.98},
            "attention 32": {"fid": 18.28, "inception_score": 51.43},
            "attention 64": {"fid": 18.65, "inception_score": 52.52},
            "residual 8": {"fid": 42.13},
            "residual 32": {"fid": 27.33},
        },
        "arXiv 1805.08318, table 1: ImageNet 128x128, the best of a million steps.",
    ),
    "2": (
        {"SAGAN": {"fid": 18.65, "inception_score": 52.52}},
        "arXiv 1805.08318, table 2: ImageNet 128x128. Of SNGAN-projection it has 27.62 and 36.8.",
    ),
}
