"""An ablation of what keeps samples of a class varied: runs on the digits, with one change each."""

from collections.abc import Mapping
from typing import Any

from sagan_tf.study.plans import Plan, Run

# All settings that arms change, with the values at which all samples of a class became the same.
# They are written out, so that changes to presets do not affect the study.
COLLAPSING: dict[str, Any] = {
    "dataset": "digits",
    "preset": "digits",
    "d_steps": 1,
    "dense_bias": True,
    "generator_spectral_normalization": True,
    "discriminator_base_filters": 16,
    "generator_learning_rate": 1e-3,
    "discriminator_learning_rate": 2e-3,
    "beta_2": 0.9,
    "schedule": "constant",
    "ema_decay": 0.99,
    "ema_half_life": 0,
    "augment": (),
    "consistency_weight": 0.0,
    "lecam_weight": 0.0,
    "r1_weight": 0.0,
    "xla": False,
}
CURED: dict[str, Any] = {"d_steps": 2, "dense_bias": False}

# The arms of the first half change one setting of `COLLAPSING`; those of the second half change one
# setting of the cured configuration.
ARMS: dict[str, dict[str, Any]] = {
    "as it was": {},
    "no dense bias": {"dense_bias": False},
    "no spectral normalisation in G": {"generator_spectral_normalization": False},
    "discriminator of 32 filters": {"discriminator_base_filters": 32},
    "two D updates": {"d_steps": 2},
    "translation": {"augment": ("translation",)},
    "R1 of weight 1": {"r1_weight": 1.0},
    "two D updates, no dense bias": CURED,
    "the same, translation": {**CURED, "augment": ("translation",)},
    "the same, consistency of weight 1": {**CURED, "consistency_weight": 1.0},
    "the same, LeCam of weight 0.3": {**CURED, "lecam_weight": 0.3},
    "the same, R1 of weight 1": {**CURED, "r1_weight": 1.0},
    "the same, cosine rates": {**CURED, "schedule": "cosine"},
    "the same, half-life of 10,000 images": {**CURED, "ema_decay": 0.0, "ema_half_life": 10_000},
    "the same, discriminator of 32 filters": {**CURED, "discriminator_base_filters": 32},
}
SEEDS, STEPS = 3, 1500
# Flags of `sagan_tf.evaluate` for the runs, and for real images as an upper bound.
EVALUATION: dict[str, Any] = {
    "num_images": 1000,
    "metrics": ("fid", "overlap", "agreement", "spread"),
    "best": False,
}
CEILING: dict[str, Any] = {
    "images": "real",
    "dataset": "digits",
    "image_size": 16,
    "num_images": 898,  # half of the real images
    "metrics": EVALUATION["metrics"],
}

_NOTE = (
    "Runs on the 1,797 digits at 16 pixels. Scores are of 1,000 samples and of the features of a "
    "classifier of the digits: they compare within this table. Runs of one seed have the same "
    "noise and order of the data. Real images against other real ones, 898 against 899, are the "
    "ceiling."
)


def ablation_plan(seeds: int, steps: int, flags: Mapping[str, Any]) -> Plan:
    """The plan of the ablation: all arms of one seed, then all arms of the next seed.

    Args:
        seeds: number of runs of each arm.
        steps: training steps of each run.
        flags: flags of `sagan_tf.train` for every run, which override those of the arms.
    """
    shared = {"sample_every": steps, "checkpoint_every": steps, "log_every": -(-steps // 15)}
    runs = tuple(
        Run(
            f"{index:02}-{arm.replace(',', '').replace(' ', '-')}-{seed}",
            arm,
            seed,
            {"seed": seed, "steps": steps, **shared, **COLLAPSING, **differing, **flags},
        )
        for seed in range(seeds)
        for index, (arm, differing) in enumerate(ARMS.items())
    )
    return Plan(
        "What keeps samples of a class varied",
        _NOTE,
        runs,
        steps,
        evaluation=EVALUATION,
        ceiling=CEILING,
    )
