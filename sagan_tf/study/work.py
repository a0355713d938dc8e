"""Does what is left of a plan: trains, measures and scores its runs."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tqdm import tqdm

from sagan_tf.config import as_flags
from sagan_tf.output import files
from sagan_tf.study import readings, runs
from sagan_tf.study.plans import Plan, Run
from sagan_tf.study.runs import run_folder, steps_done
from sagan_tf.training.stopping import StopSignal

_FINAL = "final_scores.jsonl"

# Flags that the evaluation of a run takes over from its training.
_EVALUATED = ("extractor", "cache_dir")


def is_done(plan: Plan, run: Run, out: Path) -> bool:
    """Whether a run is trained to its end; complete measures suffice if its weights are gone."""
    workdir = run_folder(out, run)
    return runs.is_trained(run, workdir) or _is_measured(plan, run, out)


def do_runs(plan: Plan, chosen: list[Run], out: Path, stop: StopSignal) -> None:
    """Trains and measures the chosen runs of a plan, except those that another process has.

    A run whose measures are complete is left alone, even if its weights are not in this folder.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        # Training processes need the GPU memory that measuring does not use.
        tf.config.experimental.set_memory_growth(gpu, True)
    left = [run for run in chosen if not _is_measured(plan, run, out)]
    done = {run.name: plan.steps for run in chosen}
    done |= {run.name: min(steps_done(run_folder(out, run)), plan.steps) for run in left}
    bar = tqdm(
        total=plan.steps * len(chosen), initial=sum(done.values()), unit="step", dynamic_ncols=True
    )
    with bar:
        for run in left:
            bar.set_description(run.name)

            def watch(run: Run = run) -> None:
                now = max(done[run.name], steps_done(run_folder(out, run)))
                bar.update(now - done[run.name])
                done[run.name] = now

            try:
                with files.claimed(out / "claims" / run.name, "out"), files.explained(out, "out"):
                    _train(plan, run, out, stop, watch)
                    _measure(plan, run, out, stop, bar.set_postfix_str)
            except files.InUse as error:
                tqdm.write(f"{run.name} is left out: {error}", file=sys.stderr)


def _is_measured(plan: Plan, run: Run, out: Path) -> bool:
    return plan.samples > 0 and readings.is_measured(run_folder(out, run), run)


def _train(plan: Plan, run: Run, out: Path, stop: StopSignal, watch: Callable[[], None]) -> None:
    workdir = runs.run_folder(out, run)
    if not runs.is_trained(run, workdir):
        workdir.mkdir(parents=True, exist_ok=True)
        if plan.samples:
            readings.discard_measures(workdir)
        flags = as_flags({"workdir": workdir, **run.flags})
        runs.call("train", flags, workdir / "training.log", stop, watch)


def _measure(plan: Plan, run: Run, out: Path, stop: StopSignal, say: Callable[[str], None]) -> None:
    workdir = runs.run_folder(out, run)
    say("measuring")
    if plan.samples:
        for step in readings.measure(workdir, run, plan.samples):
            say(f"measured step {step}")
            stop.check()
    elif plan.evaluation and not final_scores(workdir):
        told = {name: run.flags[name] for name in _EVALUATED if name in run.flags}
        told |= {"workdir": workdir, "best": True, "out": workdir / _FINAL, **plan.evaluation}
        runs.call("evaluate", as_flags(told), workdir / "evaluation.log", stop)
    say("")


def score_ceiling(plan: Plan, out: Path, stop: StopSignal) -> None:
    """Scores real images against other real images, unless this has been done."""
    if plan.ceiling and not final_scores(out):
        told = {**plan.ceiling, "out": out / _FINAL}
        cache = {name: plan.runs[0].flags.get(name) for name in _EVALUATED}
        told |= {name: value for name, value in cache.items() if value is not None}
        runs.call("evaluate", as_flags(told), out / "evaluation.log", stop)


def final_scores(workdir: Path) -> dict[str, Any] | None:
    """The score record of the run's final evaluation; `None` if there is none."""
    path = workdir / _FINAL
    return json.loads(path.read_text().splitlines()[-1]) if path.exists() else None
