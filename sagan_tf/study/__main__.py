"""Trains, measures and reports runs that differ in one thing each.

python -m sagan_tf.study --preset=smoke --out=studies/smoke
python -m sagan_tf.study --ablation --out=studies/ablation
python -m sagan_tf.study --table=1 --dataset=imagenet2012 --out=studies/table1

The same command goes on from what exists. It may run several times at once, on one machine or on
several that share the folder; each process takes the next run that no other process has.
"""

import dataclasses
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagan_tf import command, config
from sagan_tf.extras import extra
from sagan_tf.fields import setting
from sagan_tf.study import ablation, plans

if TYPE_CHECKING:
    from sagan_tf.study.plans import Plan, Run

_TABLES = ("1", "2")
_FIGURES = ("stabilisation",)
# Sizes of the feature maps in the paper's table 1.
_RESOLUTIONS = (8, 16, 32, 64)
# The parts of a plan that decide its results.
_DECISIVE = ("runs", "steps", "samples", "evaluation", "ceiling")


@dataclasses.dataclass(frozen=True)
class StudySettings:
    """Command-line flags of `python -m sagan_tf.study`."""

    preset: str | None = setting(
        None,
        f"Study of geometry against texture, on drawn images: {', '.join(plans.GEOTEX_PRESETS)}.",
    )
    table: str | None = setting(
        None,
        "Instead of --preset, a table of the paper: 1, attention or a residual block by feature "
        "map; 2, SAGAN's row.",
    )
    figure: str | None = setting(
        None,
        "Instead of --preset, a figure of the paper: stabilisation, by spectral normalisation and "
        "two learning rates.",
    )
    ablation: bool = setting(
        False, "Instead of --preset, an ablation on the digits: what keeps samples varied."
    )
    out: str | None = setting(
        None, "Folder of the study; by default studies/ with the name of preset, table or figure."
    )

    dataset: str = setting(
        "imagenet2012",
        "Data set for tables and figures, see `sagan_tf.train --help`.",
        only_with="table figure",
    )
    image_size: int | None = setting(
        None,
        "Image size for tables and figures; by default the preset's.",
        only_with="table figure",
    )
    classes: tuple[str, ...] = setting(
        (),
        "Classes of drawn images to learn, as in twin,cells; by default the preset's.",
        only_with="preset",
    )
    steps: int | None = setting(None, "Steps of each run; by default the preset's.", at_least=1)
    measure_every: int | None = setting(
        None,
        "Steps between measurements; by default the preset's, or a twentieth of the steps.",
        at_least=1,
        only_with="preset table figure",
    )
    samples: int | None = setting(
        None,
        "Images per class for each measurement, on drawn images.",
        at_least=1,
        only_with="preset",
    )
    final_images: int | None = setting(
        None,
        "Images for the final scores of a table's runs; by default the protocol's number.",
        at_least=1,
        only_with="table",
    )
    seeds: int | None = setting(
        None,
        "Runs of each arm, on drawn images and the digits.",
        at_least=1,
        only_with="preset ablation",
    )
    first_seed: int | None = setting(
        None,
        "The least seed of runs on drawn images; by default the preset's.",
        at_least=0,
        only_with="preset",
    )
    train_flags: str = setting(
        "", "Further flags for every run, in quotes, as in '--base_filters=8 --device=cpu'."
    )

    runs: tuple[str, ...] = setting((), "Names of the runs to do; by default all.")
    list: bool = setting(False, "Print a command for each run, to run it anywhere, and stop.")


def main(settings: StudySettings) -> None:
    """Trains and measures what is left to do, then writes `index.html`."""
    plan, out = _plan(settings)
    chosen = _chosen(plan, settings.runs)
    if settings.list:
        _print_commands(chosen)
        return
    with extra("report"):
        import sagan_tf.output.pages  # noqa: F401 - to check that its packages are installed
    _check_folder(out, plan)
    from sagan_tf.study.reporting import write_report
    from sagan_tf.study.work import do_runs, score_ceiling
    from sagan_tf.training.stopping import Stopped, StopSignal

    with StopSignal() as stop:
        try:
            do_runs(plan, chosen, out, stop)
            score_ceiling(plan, out, stop)
        except Stopped:
            print("stopped; the same command goes on from there", file=sys.stderr)
            sys.exit(128 + stop.received)
    write_report(plan, out)


def _plan(settings: StudySettings) -> tuple["Plan", Path]:
    """The plan that the flags select, and its folder."""
    asked = {name: getattr(settings, name) for name in ("preset", "table", "figure")}
    asked = {name: value for name, value in asked.items() if value is not None}
    if settings.ablation:
        asked["ablation"] = "true"
    if len(asked) != 1:
        raise ValueError(
            "One of `--preset`, `--ablation`, `--table` and `--figure` must say what to study. "
            "Received: "
            + (", ".join(f"--{name}={value}" for name, value in asked.items()) or "none")
        )
    ((name, value),) = asked.items()
    choices = {"preset": plans.GEOTEX_PRESETS, "table": _TABLES, "figure": _FIGURES}
    if name in choices and value not in choices[name]:
        raise ValueError(f"`--{name}` is one of {', '.join(choices[name])}. Received: {value}")
    folder = {"table": f"table{value}", "ablation": "ablation"}.get(name, value)
    folder = "-".join([folder, *settings.classes])
    out = Path(settings.out or f"studies/{folder}")
    flags = _train_flags(settings.train_flags)
    if "seed" in flags and name in ("preset", "ablation"):
        raise ValueError(
            "`--train_flags` cannot hold --seed, which differs between runs: `--seeds` says how "
            "many there are."
        )
    if name == "ablation":
        seeds, steps = settings.seeds or ablation.SEEDS, settings.steps or ablation.STEPS
        return ablation.ablation_plan(seeds, steps, flags), out
    if name == "preset":
        return _geotex_plan(value, settings, flags), out
    return _paper_plan(settings, flags), out


def _geotex_plan(name: str, settings: StudySettings, flags: dict[str, str]) -> "Plan":
    preset = plans.GEOTEX_PRESETS[name]
    given: dict[str, Any] = {
        name: getattr(settings, name)
        for name in ("steps", "measure_every", "samples", "seeds", "first_seed")
        if getattr(settings, name) is not None
    }
    if settings.classes:
        given["groups"] = (settings.classes,)
    return plans.geotex_plan(dataclasses.replace(preset, **given, flags={**preset.flags, **flags}))


def _paper_plan(settings: StudySettings, flags: Mapping[str, Any]) -> "Plan":
    from sagan_tf.architecture import DISCRIMINATOR_FILTERS, GENERATOR_FILTERS

    given = {
        name: getattr(settings, name)
        for name in ("dataset", "image_size", "steps")
        if getattr(settings, name) is not None
    }
    if "preset" in flags:
        given["preset"] = flags["preset"]
    usual, _ = config.resolve({**given, "dataset": settings.dataset})
    every = settings.measure_every or max(1, usual.steps // 20)
    size = usual.image_size
    flags = {"dataset": settings.dataset, "image_size": size, **flags}
    if settings.table is None:
        rates = usual.generator_learning_rate, usual.discriminator_learning_rate
        return plans.stabilisation_plan(usual.steps, every, flags, rates)
    maps = {side for side, _ in GENERATOR_FILTERS[size]} & {
        side for side, _ in DISCRIMINATOR_FILTERS[size]
    }
    resolutions = tuple(side for side in _RESOLUTIONS if side in maps)
    evaluation = {} if settings.final_images is None else {"num_images": settings.final_images}
    return plans.table_plan(settings.table, usual.steps, every, flags, resolutions, evaluation)


def _train_flags(text: str) -> dict[str, str]:
    names = {field.name for field in dataclasses.fields(config.TrainSettings)}
    flags = {}
    for word in shlex.split(text):
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not equals or name not in names:
            raise ValueError(
                "`--train_flags` expects flags of `sagan_tf.train` as --name=value. Received: "
                f"{word!r}"
            )
        flags[name] = value
    return flags


def _chosen(plan: "Plan", names: tuple[str, ...]) -> list["Run"]:
    known = {run.name: run for run in plan.runs}
    for name in names:
        if name not in known:
            raise ValueError(f"`--runs` are of {', '.join(known)}. Received: {name}")
    return [known[name] for name in names or known]


def _print_commands(runs: list["Run"]) -> None:
    given = [flag for flag in sys.argv[1:] if flag.lstrip("-").partition("=")[0] != "list"]
    given = [flag for flag in given if not flag.startswith("--runs")]
    for run in runs:
        print(shlex.join(["python", "-m", "sagan_tf.study", *given, f"--runs={run.name}"]))


def _check_folder(out: Path, plan: "Plan") -> None:
    """Raises `ValueError` if the folder holds another study; else writes its `study.json`.

    Studies are the same if they have the same results: titles and notes may be reworded.
    """
    from sagan_tf.output import files

    now = json.loads(json.dumps(dataclasses.asdict(plan)))
    path = out / "study.json"
    if path.exists():
        before = json.loads(path.read_text())
        # Studies of other versions have no groups.
        before["runs"] = [{"group": "", **run} for run in before["runs"]]
        changed = [name for name in _DECISIVE if before.get(name) != now[name]]
        if changed:
            raise ValueError(
                f"`--out` {out} holds another study: {', '.join(changed)} differ. Give the same "
                "flags to go on with it, or choose another folder."
            )
        return
    with files.explained(out, "out"):
        out.mkdir(parents=True, exist_ok=True)
        files.write_text(path, json.dumps(now, indent=2) + "\n")


if __name__ == "__main__":
    command.run(main, StudySettings)
