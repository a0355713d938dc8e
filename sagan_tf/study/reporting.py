"""Collects a study's results from its files, and writes the report of its kind."""

import datetime
import os
import platform
import shlex
import sys
from pathlib import Path

import keras
import tensorflow as tf

from sagan_tf.evaluation.evaluation import unlike
from sagan_tf.run.workdir import load_scores
from sagan_tf.study import runs
from sagan_tf.study.ablation_report import write_ablation_report
from sagan_tf.study.findings import Findings
from sagan_tf.study.geotex_report import write_geotex_report
from sagan_tf.study.plans import Plan, Run
from sagan_tf.study.readings import load_measures
from sagan_tf.study.runs import run_folder
from sagan_tf.study.score_report import write_score_report
from sagan_tf.study.work import final_scores, is_done


def write_report(plan: Plan, out: Path) -> None:
    """Writes `index.html` in the study's folder, from the runs that are trained to the end."""
    trained = [run for run in plan.runs if is_done(plan, run, out)]
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
    plan: Plan, trained: list[Run], out: Path, page: Path, facts: dict[str, str]
) -> None:
    records = [record for run in plan.runs for record in load_measures(run_folder(out, run))]
    workdirs: dict[tuple[str, str], Path] = {}
    for run in trained:
        if runs.is_trained(run, run_folder(out, run)):
            workdirs.setdefault((run.group, run.arm), run_folder(out, run))
    write_geotex_report(page, plan, Findings(records), workdirs, facts)


def _report_ablation(
    plan: Plan, trained: list[Run], out: Path, page: Path, facts: dict[str, str]
) -> None:
    scores: dict[str, list[dict[str, float]]] = {}
    grids: dict[str, Path] = {}
    for run in trained:
        final = final_scores(run_folder(out, run))
        if final:
            scores.setdefault(run.arm, []).append(final["scores"])
            newest = max((run_folder(out, run) / "samples").glob("*.png"))
            grids.setdefault(run.arm, newest)
    ceiling = (final_scores(out) or {"scores": {}})["scores"]
    write_ablation_report(page, plan, scores, ceiling, grids, facts)


def _report_scores(
    plan: Plan, trained: list[Run], out: Path, page: Path, facts: dict[str, str]
) -> None:
    scores, finals = {}, {}
    for run in trained:
        records = load_scores(run_folder(out, run))
        # The file also has the evaluation of the best checkpoint, which uses more images.
        scores[run.arm] = [record for record in records if not unlike(record, records[0])]
        final = final_scores(run_folder(out, run))
        if final:
            finals[run.arm] = final
    write_score_report(page, plan, scores, finals, facts)


def _facts(trained: int, runs: int) -> dict[str, str]:
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
