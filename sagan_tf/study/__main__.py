"""Trains, measures and reports runs that differ in one thing each.

python -m sagan_tf.study --preset=smoke --out=studies/smoke
python -m sagan_tf.study --ablation --out=studies/ablation
python -m sagan_tf.study --table=1 --dataset=imagenet2012 --out=studies/table1

The same command goes on with what is there. Given several times at once, on one machine or on
several that share the folder, each takes the next run that nobody has.
"""

import dataclasses
import datetime
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagan_tf import command, config
from sagan_tf.command import setting
from sagan_tf.study import ablation, plans

if TYPE_CHECKING:
    from sagan_tf.study.plans import Plan, Run
    from sagan_tf.training.loop import StopSignal

_TABLES = ("1", "2")
_FIGURES = ("stabilisation",)
_FINAL = "final_scores.jsonl"
# What evaluation of a run is told as its training was.
_EVALUATED = ("extractor", "cache_dir")
# Of the feature maps of the paper's table 1.
_RESOLUTIONS = (8, 16, 32, 64)


@dataclasses.dataclass(frozen=True)
class StudySettings:
    """What `python -m sagan_tf.study` can be told."""

    preset: str | None = setting(
        None, f"Geometry against texture, on drawn images: {', '.join(plans.GEOTEX_PRESETS)}."
    )
    table: str | None = setting(
        None,
        "Instead: 1, attention or a residual block by feature map, as in the paper's table; 2, "
        "SAGAN's row.",
    )
    figure: str | None = setting(
        None, "Instead: stabilisation, spectral normalisation and two learning rates."
    )
    ablation: bool = setting(False, "Instead: what keeps samples of a class varied, on the digits.")
    out: str | None = setting(None, "The study's folder; without it studies/<what is asked for>.")

    dataset: str = setting("imagenet2012", "Of tables and figures, as `sagan_tf.train` says.")
    image_size: int | None = setting(None, "Of tables and figures; without it the preset's.")
    steps: int | None = setting(None, "Of each run; without it the preset's.", at_least=1)
    measure_every: int | None = setting(
        None,
        "Steps between measurements; without it the preset's, or a twentieth of the steps.",
        at_least=1,
    )
    samples: int | None = setting(
        None, "Images per class and measurement, on drawn images.", at_least=1
    )
    final_images: int | None = setting(
        None, "Images that score a table's runs at the end; without it the protocol's.", at_least=1
    )
    seeds: int | None = setting(
        None, "Runs of each arm, on drawn images and the digits.", at_least=1
    )
    train_flags: str = setting(
        "", "More flags for every run, in quotes, as in '--base_filters=8 --device=cpu'."
    )

    runs: tuple[str, ...] = setting((), "Only these, by name.")
    list: bool = setting(False, "Print a command for each run, to be given anywhere, and stop.")


def main(settings: StudySettings) -> None:
    """Trains and measures what is left to do, then writes `index.html`."""
    plan, out = _plan(settings)
    chosen = _chosen(plan, settings.runs)
    if settings.list:
        _print_commands(chosen)
        return
    _check_extra()
    _check_folder(out, plan)
    from sagan_tf.training.loop import Stopped, StopSignal

    with StopSignal() as stop:
        try:
            _do(plan, chosen, out, stop)
            _score_ceiling(plan, out, stop)
        except Stopped:
            print("stopped; the same command goes on from there", file=sys.stderr)
            sys.exit(128 + stop.received)
    _report(plan, out)


def _plan(settings: StudySettings) -> tuple["Plan", Path]:
    """What is asked for, and its folder."""
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
    out = Path(settings.out or f"studies/{folder}")
    flags = _train_flags(settings.train_flags)
    if name == "ablation":
        seeds, steps = settings.seeds or ablation.SEEDS, settings.steps or ablation.STEPS
        return ablation.ablation_plan(seeds, steps, flags), out
    if name == "preset":
        return _geotex_plan(value, settings, flags), out
    return _paper_plan(settings, flags), out


def _geotex_plan(name: str, settings: StudySettings, flags: dict[str, str]) -> "Plan":
    preset = plans.GEOTEX_PRESETS[name]
    given = {
        name: getattr(settings, name)
        for name in ("steps", "measure_every", "samples", "seeds")
        if getattr(settings, name) is not None
    }
    return plans.geotex_plan(dataclasses.replace(preset, **given, flags={**preset.flags, **flags}))


def _paper_plan(settings: StudySettings, flags: Mapping[str, Any]) -> "Plan":
    from sagan_tf.architecture import DISCRIMINATOR_FILTERS, GENERATOR_FILTERS

    given = {
        name: getattr(settings, name)
        for name in ("dataset", "image_size", "steps")
        if getattr(settings, name) is not None
    }
    usual, _ = config.resolve(given, settings.dataset)
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


def _check_extra() -> None:
    """Misses what writes the report before hours of work and not after."""
    try:
        import sagan_tf.output.pages  # noqa: F401 - to see whether it can be
    except ModuleNotFoundError as error:
        raise ValueError(
            f"`{error.name}` is not installed; `pip install 'sagan_tf[report]'` brings it."
        ) from None


def _check_folder(out: Path, plan: "Plan") -> None:
    """Refuses to mix studies."""
    from sagan_tf.output import files

    now = json.loads(json.dumps(dataclasses.asdict(plan)))
    path = out / "study.json"
    if path.exists():
        before = json.loads(path.read_text())
        changed = [name for name in now if before.get(name) != now[name]]
        if changed:
            raise ValueError(
                f"`--out` {out} holds another study: {', '.join(changed)} differ. Give the same "
                "flags to go on with it, or choose another folder."
            )
        return
    with files.explained(out, "out"):
        out.mkdir(parents=True, exist_ok=True)
        files.write_text(path, json.dumps(now, indent=2) + "\n")


def _do(plan: "Plan", runs: list["Run"], out: Path, stop: "StopSignal") -> None:
    """Trains and measures every run that no other process has."""
    import tensorflow as tf
    from tqdm import tqdm

    from sagan_tf.output import files
    from sagan_tf.study.runs import run_folder, steps_done

    for gpu in tf.config.list_physical_devices("GPU"):
        # Trainings, processes of their own, need what measuring leaves.
        tf.config.experimental.set_memory_growth(gpu, True)
    done = {run.name: min(steps_done(run_folder(out, run)), plan.steps) for run in runs}
    bar = tqdm(
        total=plan.steps * len(runs), initial=sum(done.values()), unit="step", dynamic_ncols=True
    )
    with bar:
        for run in runs:
            bar.set_description(run.name)

            def watch(run: "Run" = run) -> None:
                now = max(done[run.name], steps_done(run_folder(out, run)))
                bar.update(now - done[run.name])
                done[run.name] = now

            try:
                with files.claimed(out / "claims" / run.name, "out"), files.explained(out, "out"):
                    _train(plan, run, out, stop, watch)
                    _measure(plan, run, out, stop, bar.set_postfix_str)
            except files.InUse as error:
                tqdm.write(f"{run.name} is left out: {error}", file=sys.stderr)


def _train(
    plan: "Plan", run: "Run", out: Path, stop: "StopSignal", watch: Callable[[], None]
) -> None:
    from sagan_tf.study import runs

    workdir = runs.run_folder(out, run)
    if not runs.is_trained(run, workdir):
        workdir.mkdir(parents=True, exist_ok=True)
        flags = runs.as_flags({"workdir": workdir, **run.flags})
        runs.call("train", flags, workdir / "training.log", stop, watch)


def _measure(
    plan: "Plan", run: "Run", out: Path, stop: "StopSignal", say: Callable[[str], None]
) -> None:
    from sagan_tf.study import readings as measures
    from sagan_tf.study import runs

    workdir = runs.run_folder(out, run)
    say("measuring")
    if plan.samples:
        for step in measures.measure(workdir, run, plan.samples):
            say(f"measured step {step}")
            stop.check()
    elif plan.evaluation and not _final(workdir):
        told = {name: run.flags[name] for name in _EVALUATED if name in run.flags}
        told |= {"workdir": workdir, "best": True, "out": workdir / _FINAL, **plan.evaluation}
        runs.call("evaluate", runs.as_flags(told), workdir / "evaluation.log", stop)
    say("")


def _score_ceiling(plan: "Plan", out: Path, stop: "StopSignal") -> None:
    """Scores real images against other real ones, once."""
    from sagan_tf.study import runs

    if plan.ceiling and not _final(out):
        told = {**plan.ceiling, "out": out / _FINAL}
        cache = {name: plan.runs[0].flags.get(name) for name in _EVALUATED}
        told |= {name: value for name, value in cache.items() if value is not None}
        runs.call("evaluate", runs.as_flags(told), out / "evaluation.log", stop)


def _final(workdir: Path) -> dict[str, Any] | None:
    """What the best checkpoint scored by the whole protocol."""
    path = workdir / _FINAL
    return json.loads(path.read_text().splitlines()[-1]) if path.exists() else None


def _report(plan: "Plan", out: Path) -> None:
    from sagan_tf.study import runs

    trained = [run for run in plan.runs if runs.is_trained(run, runs.run_folder(out, run))]
    page = out / "index.html"
    if not trained:
        print("no run is trained to its end yet")
        return
    facts = _facts(len(trained), len(plan.runs))
    if plan.samples:
        _report_measures(plan, trained, out, page, facts)
    elif plan.ceiling:
        _report_ablation(plan, trained, out, page, facts)
    else:
        _report_scores(plan, trained, out, page, facts)
    print(f"{len(trained)} of {len(plan.runs)} runs are trained")
    print(f"report: {page}")


def _report_measures(
    plan: "Plan", trained: list["Run"], out: Path, page: Path, facts: dict[str, str]
) -> None:
    from sagan_tf.study.findings import Findings
    from sagan_tf.study.geotex_report import write_geotex_report
    from sagan_tf.study.readings import load_measures
    from sagan_tf.study.runs import run_folder

    records = [record for run in plan.runs for record in load_measures(run_folder(out, run))]
    workdirs: dict[str, Path] = {}
    for run in trained:
        workdirs.setdefault(run.arm, run_folder(out, run))
    write_geotex_report(page, plan, Findings(records), workdirs, facts)


def _report_ablation(
    plan: "Plan", trained: list["Run"], out: Path, page: Path, facts: dict[str, str]
) -> None:
    from sagan_tf.study.ablation_report import write_ablation_report
    from sagan_tf.study.runs import run_folder

    scores: dict[str, list[dict[str, float]]] = {}
    grids: dict[str, Path] = {}
    for run in trained:
        final = _final(run_folder(out, run))
        if final:
            scores.setdefault(run.arm, []).append(final["scores"])
            newest = max((run_folder(out, run) / "samples").glob("*.png"))
            grids.setdefault(run.arm, newest)
    ceiling = (_final(out) or {"scores": {}})["scores"]
    write_ablation_report(page, plan, scores, ceiling, grids, facts)


def _report_scores(
    plan: "Plan", trained: list["Run"], out: Path, page: Path, facts: dict[str, str]
) -> None:
    from sagan_tf.evaluation.evaluation import unlike
    from sagan_tf.run.workdir import load_scores
    from sagan_tf.study.runs import run_folder
    from sagan_tf.study.score_report import write_score_report

    scores, finals = {}, {}
    for run in trained:
        records = load_scores(run_folder(out, run))
        # The evaluation of the best checkpoint, made by more images, stands there as well.
        scores[run.arm] = [record for record in records if not unlike(record, records[0])]
        final = _final(run_folder(out, run))
        if final:
            finals[run.arm] = final
    write_score_report(page, plan, scores, finals, facts)


def _facts(trained: int, runs: int) -> dict[str, str]:
    import keras
    import tensorflow as tf

    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {
        "command": shlex.join(["python", "-m", "sagan_tf.study", *sys.argv[1:]]),
        "runs": f"{trained} of {runs} trained to the end",
        "device": ", ".join(gpus) or f"{os.cpu_count()} processor cores, {platform.machine()}",
        "software": f"TensorFlow {tf.__version__}, Keras {keras.__version__}, Python "
        f"{platform.python_version()}",
        "report written": datetime.date.today().isoformat(),
    }


if __name__ == "__main__":
    command.run(main, StudySettings)
