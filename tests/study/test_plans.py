import dataclasses

import pytest

from sagan_tf.config import PRESETS, TrainSettings, resolve
from sagan_tf.geotex.drawing import check_size
from sagan_tf.models import Discriminator, Generator
from sagan_tf.study import ablation
from sagan_tf.study.ablation import ablation_plan
from sagan_tf.study.plans import (
    ARMS,
    GEOTEX_PRESETS,
    geotex_plan,
    stabilisation_plan,
    table_plan,
)
from sagan_tf.training import cost

FLAGS = {"dataset": "imagenet2012"}


def all_plans():
    yield from map(geotex_plan, GEOTEX_PRESETS.values())
    yield from (table_plan(table, 100, 10, FLAGS, (8, 16, 32, 64), {}) for table in "12")
    yield stabilisation_plan(100, 10, FLAGS, (1e-4, 4e-4))
    yield ablation_plan(3, 100, {})


@pytest.mark.parametrize("plan", list(all_plans()), ids=lambda plan: plan.title)
def test_runs_have_names_of_their_own_and_flags_that_exist(plan):
    assert len({run.name for run in plan.runs}) == len(plan.runs)
    known = {field.name for field in dataclasses.fields(TrainSettings)}
    for run in plan.runs:
        assert set(run.flags) <= known
        resolve(dict(run.flags))
        assert run.flags["steps"] == plan.steps


def test_arms_of_a_seed_differ_in_what_mixes_alone():
    plan = geotex_plan(GEOTEX_PRESETS["full"])
    assert len(plan.runs) == 8 * len(ARMS)
    for seed in range(8):
        rest = []
        for run in plan.runs:
            if run.seed == seed:
                differing = ("mixing", "attention_resolutions")
                rest.append({n: v for n, v in run.flags.items() if n not in differing})
        assert len(rest) == len(ARMS)
        assert all(flags == rest[0] for flags in rest)
    # Whenever a study ends, whole pairs are there.
    assert [run.seed for run in plan.runs] == sorted(run.seed for run in plan.runs)


def test_pairs_learn_two_classes_each():
    preset = GEOTEX_PRESETS["cpu"]
    plan = geotex_plan(preset)
    assert len(plan.runs) == len(preset.groups) * preset.seeds * len(preset.arms)
    run = next(run for run in plan.runs if run.name == "twin-cells-attention-1")
    assert (run.group, run.arm, run.flags["dataset"]) == (
        "twin,cells",
        "attention",
        "geotex:twin,cells",
    )
    # Each class is in one group, so that its mean is over all seeds.
    names = [name for group in preset.groups for name in group]
    assert len(set(names)) == len(names)
    for group in preset.groups:
        check_size(preset.flags["image_size"], group)
    # The setting was found with seed 0, so that seed 0 is no evidence.
    assert {run.seed for run in plan.runs} == {1, 2, 3, 4, 5}
    assert [run.seed for run in plan.runs] == sorted(run.seed for run in plan.runs)


def test_classes_of_a_group_must_exist():
    preset = dataclasses.replace(GEOTEX_PRESETS["smoke"], groups=(("twin", "cat"),))
    with pytest.raises(ValueError, match=r"each named once\. Received: 'twin,cat'"):
        geotex_plan(preset)


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_residual_arm_has_as_many_weights_as_attention(network):
    values = {name: value for name, (value, _) in PRESETS["geotex"].items()}
    width = "base_filters" if network is Generator else "discriminator_base_filters"
    counts = {}
    for arm, flags in ARMS.items():
        settings = {**values, **flags}
        model = network(
            settings["image_size"],
            8,
            base_filters=settings[width],
            attention_resolutions=settings["attention_resolutions"],
            mixing=settings.get("mixing", "attention"),
        )
        model.build()
        counts[arm] = cost.parameters(model)
    added = {arm: count - counts["none"] for arm, count in counts.items()}
    assert added["local"] == added["attention"] > 1000
    assert added["residual"] == pytest.approx(added["attention"], rel=0.02)


def test_table_1_has_a_line_for_each_of_the_papers():
    plan = table_plan("1", 100, 10, FLAGS, (8, 16, 32, 64), {"num_images": 9})
    assert plan.evaluation == {"metrics": ("is", "fid"), "num_images": 9}
    kinds = ("attention", "residual")
    assert plan.arms == (
        "none",
        *(f"{kind} {size}" for kind in kinds for size in (8, 16, 32, 64)),
    )
    run = next(run for run in plan.runs if run.arm == "residual 32")
    assert (run.flags["mixing"], run.flags["attention_resolutions"]) == ("residual", (32,))
    assert plan.published["attention 32"] == {"fid": 18.28, "inception_score": 51.43}
    assert set(plan.published) <= set(plan.arms)
    # Networks for smaller images lack some of the maps.
    assert table_plan("1", 100, 10, FLAGS, (8, 16), {}).arms[-1] == "residual 16"
    second = table_plan("2", 100, 10, FLAGS, (8, 16), {})
    assert second.runs[0].flags["attention_resolutions"] == (16,)
    assert "intra_fid" in second.evaluation["metrics"]


def test_stabilisation_takes_one_thing_away_after_another():
    both, one_rate, none = (
        run.flags for run in stabilisation_plan(100, 10, FLAGS, (1e-4, 4e-4)).runs[::-1]
    )
    assert "generator_learning_rate" not in both
    rates = {"generator_learning_rate": 2e-4, "discriminator_learning_rate": 2e-4}
    assert one_rate == {**both, **{name: pytest.approx(rate) for name, rate in rates.items()}}
    assert none == {**one_rate, "generator_spectral_normalization": False}


def test_arms_of_the_ablation_change_one_thing_each():
    plan = ablation_plan(3, 100, {"base_filters": "4"})
    assert len(plan.runs) == 3 * len(ablation.ARMS)
    assert [run.seed for run in plan.runs] == sorted(run.seed for run in plan.runs)
    base = {"as": ablation.COLLAPSING, "th": {**ablation.COLLAPSING, **ablation.CURED}}
    for arm, differing in ablation.ARMS.items():
        settings = {**ablation.COLLAPSING, **differing}
        of = base["th" if arm.startswith("the same") else "as"]
        changed = {name for name in settings if settings[name] != of[name]}
        # One way to average takes another's place.
        expected = {"two D updates, no dense bias": 2, "as it was": 0}.get(
            arm, 2 if "half-life" in arm else 1
        )
        assert len(changed) == expected, (arm, changed)
    assert all(run.flags["base_filters"] == "4" for run in plan.runs)
