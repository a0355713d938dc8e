"""What to train: lists of runs that differ in one thing each."""

import dataclasses
from collections.abc import Mapping
from typing import Any

# What stands at the same feature map of both networks, as flags of `sagan_tf.train`. The residual
# block has as many weights as attention; local attention has the same, at the same cost.
ARMS: dict[str, dict[str, Any]] = {
    "none": {"attention_resolutions": ()},
    "residual": {"mixing": "residual"},
    "local": {"mixing": "local_attention"},
    "attention": {"mixing": "attention"},
}
# Attention's runs once more, its gates shut when images are made.
OFF = "off"
# Whose gain over what is tested, where both were run.
COMPARISONS = (
    ("attention", "none"),
    ("attention", "residual"),
    ("attention", "local"),
    ("attention", OFF),
    ("residual", "none"),
)


@dataclasses.dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        name: of its folder.
        arm: what it differs in from the others of its seed.
        seed: of weights, noise and the order of the data.
        flags: of `sagan_tf.train`.
    """

    name: str
    arm: str
    seed: int
    flags: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A study.

    Attributes:
        title: of its report.
        note: what a reader must know before the numbers.
        runs: in the order in which they are trained.
        steps: of each.
        samples: drawn images per class that each checkpoint is measured by; 0 where
            `sagan_tf.evaluate` scores.
        evaluation: flags of that for a run that has ended; none do not score it once more.
        ceiling: flags of that for real images against other real ones; none do not score them.
        published: by arm, scores by name.
        source: of `published`.
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
        """Those that are trained, in order."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))


@dataclasses.dataclass(frozen=True)
class GeotexPreset:
    """A size of the study of geometry against texture.

    Attributes:
        note: see `Plan`.
        arms: of `ARMS`.
        seeds: how many, each a run of every arm.
        steps: of each run.
        measure_every: steps between checkpoints that are measured.
        samples: see `Plan`.
        flags: of `sagan_tf.train`, beside those of its preset `geotex`.
    """

    note: str
    arms: tuple[str, ...] = tuple(ARMS)
    seeds: int = 1
    steps: int = 2000
    measure_every: int = 500
    samples: int = 200
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)


GEOTEX_PRESETS = {
    "smoke": GeotexPreset(
        "A trial of the instrument: one pair of runs, far from trained. It says nothing about "
        "attention.",
        arms=("none", "attention"),
    ),
    "cpu": GeotexPreset(
        "What two processor cores do in about 90 minutes. Of so few pairs of runs no p-value can "
        "be small.",
        seeds=2,
        steps=1500,
        samples=500,
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
    """Geometry against texture, on images that are drawn."""
    # All arms of a seed before the next: whenever it ends, whole pairs are there.
    runs = tuple(
        _run(
            arm,
            seed,
            preset.steps,
            preset.measure_every,
            {"dataset": "geotex", "preset": "geotex", **preset.flags},
            {"checkpoint_every": preset.measure_every, "max_to_keep": preset.steps},
            ARMS[arm],
        )
        for seed in range(preset.seeds)
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
    """The paper's comparisons of networks.

    Args:
        table: 1, what stands at which feature map; 2, SAGAN's own row.
        steps: of each run.
        measure_every: steps between scores.
        flags: of every run: the data set, and what else is not as its preset says.
        resolutions: those of the paper's feature maps that the networks have.
        evaluation: see `Plan`; what it scores is the table's.
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
    """The paper's figure of what stabilises training (section 5.1).

    Args:
        steps: of each run.
        measure_every: steps between scores.
        flags: as for `table_plan`.
        rates: the two learning rates, of generator and discriminator. Runs with equal ones take
            their geometric mean, as the paper does not say which it took.
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


def _run(arm: str, seed: int, steps: int, measure_every: int, *flags: Mapping[str, Any]) -> Run:
    """A run whose later flags go over earlier ones."""
    merged: dict[str, Any] = {"seed": seed, "steps": steps, "log_every": -(-measure_every // 10)}
    merged["sample_every"] = measure_every
    for some in flags:
        merged |= some
    return Run(f"{arm.replace(',', '').replace(' ', '-')}-{seed}", arm, seed, merged)


_PAPER_NOTE = (
    "One run for each line, as in the paper: what differs little may be chance. Numbers of other "
    "data sets or shorter runs do not compare with the paper's."
)
# What could be read in the paper itself; not all of its tables' cells could.
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
