"""The report on geometry against texture: tests, rates, curves, images and attention maps."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from sagan_tf import geotex, sampling
from sagan_tf.attention import attention_maps, maps_at, partner_lift
from sagan_tf.attention.figure import attention_figure
from sagan_tf.output.files import write_text
from sagan_tf.output.pages import drawing, render
from sagan_tf.output.pictures import image_grid, png_address, to_picture
from sagan_tf.run.workdir import load_description
from sagan_tf.study.curves import mean_known, plot_curve
from sagan_tf.study.findings import RATES, Findings
from sagan_tf.study.plans import OFF, Plan
from sagan_tf.study.readings import class_images, class_seeds, shut_gates

# Colours of the frames around images; colour-blind readers can tell them apart (Okabe and Ito,
# 2008).
FRAMES = {"satisfied": (0, 158, 115), "violated": (213, 94, 0), "unreadable": (153, 153, 153)}
_FRAME_WIDTH = 2
# Number of images in a class's row; of images searched for readable ones; of those shown with maps.
_ROW = 10
_LOOKED_AT = 64
_OVERLAID = 3
_ATTENTION = ("distance", "entropy", "far_mass", "usage", "lift", "other_lift")


def write_geotex_report(
    path: Path,
    plan: Plan,
    findings: Findings,
    workdirs: Mapping[tuple[str, str], Path],
    facts: Mapping[str, Any],
) -> None:
    """Writes the page of a study of geometry against texture.

    Args:
        path: path of the page.
        plan: the study.
        findings: measures of the runs, with the last step of at least one run.
        workdirs: by group and arm, the workdir of a finished run whose weights are there. The page
            shows images of these runs.
        facts: facts about command and machine, shown as they are.
    """
    arms = [arm for arm in (*plan.arms, OFF) if arm in findings.arms]
    geometry, texture = findings.geometry, findings.texture
    # The curves to draw: title, classes, score.
    curves = (
        ("Graded, of geometry", geometry, "graded"),
        ("Graded, of texture", texture, "graded"),
        ("Closeness", geometry, "closeness"),
        ("Readable", (*geometry, *texture), "readable"),
        ("Satisfied, of the readable", geometry, "satisfied_if_readable"),
    )
    page = render(
        "sagan_tf.study",
        "geotex_report.html",
        plan=plan,
        facts=facts,
        tables=list(_tables(findings, arms, plan.steps)),
        geometry=geometry,
        texture=texture,
        grouped=len(findings.groups) > 1,
        curves=[
            (title, [_curve(findings, arms, name, score) for name in names])
            for title, names, score in curves
        ],
        attention=list(_attention(findings, arms, plan.steps)),
        grids=list(_grids(workdirs)),
        overlays=list(_overlays(workdirs)),
        frames=FRAMES,
    )
    write_text(path, page)


def _tables(findings: Findings, arms: list[str], last: int) -> Iterator[dict[str, Any]]:
    """Yields comparisons and rates: at the last step, over all steps, and without averaging."""
    for averaged, weights in ((True, "averaged weights"), (False, "weights without averaging")):
        yield {
            "title": f"After {last:,} steps, {weights}",
            "pairs": findings.comparisons([last], averaged),
            "rows": list(_rows(findings, arms, last, averaged)),
        }
        steps = findings.steps(averaged)
        if len(steps) > 1:
            yield {
                "title": f"Mean grades over {len(steps)} measured steps, {weights}",
                "pairs": findings.comparisons(steps, averaged),
                "rows": [],
            }


def _rows(
    findings: Findings, arms: list[str], step: int, averaged: bool
) -> Iterator[dict[str, Any]]:
    """Yields the rates of every class and arm, and the means of their graded values."""
    for name in (*findings.geometry, *findings.texture):
        for arm in arms:
            if not findings.pairs(arm, step, averaged, name):
                continue

            def mean(score: str, arm: str = arm, name: str = name) -> float:
                return mean_known(findings.values(arm, step, averaged, name, score))

            yield {
                "name": name,
                "arm": arm,
                "rates": [findings.rate(arm, step, averaged, name, rate) for rate in RATES],
                "chance": mean("chance") if name in findings.geometry else math.nan,
                "graded": mean("graded"),
                "closeness": mean("closeness") if name in findings.geometry else math.nan,
                "patch_distance": mean("patch_distance"),
            }


def _curve(findings: Findings, arms: list[str], name: str, score: str) -> Markup:
    """A plot of a class's score over the steps, as SVG."""
    figure = Figure(figsize=(3.6, 2.3), layout="constrained")
    axes = figure.add_subplot()
    plot_curve(axes, findings, arms, name, score)
    axes.set_title(name, fontsize=9)
    return drawing(figure, f"{score} {name}")


def _attention(findings: Findings, arms: list[str], last_step: int) -> Iterator[dict[str, Any]]:
    """Yields mean measures by arm and layer: at the last step, and the lift of random weights."""
    for arm in arms:
        records = findings.attention(arm)
        for layer in dict.fromkeys(path for record in records for path in record["attention"]):
            rows = []
            for name in findings.geometry:
                found: dict[tuple[int, str], list[float]] = {}
                for record in records:
                    for measure, value in record["attention"][layer].get(name, {}).items():
                        found.setdefault((record["step"], measure), []).append(value)
                if (last_step, "lift") not in found:
                    continue
                means = {measure: mean_known(found[last_step, measure]) for measure in _ATTENTION}
                untrained = mean_known(found.get((0, "lift"), []))
                rows.append({"name": name, **means, "untrained": untrained})
            if rows:
                yield {"arm": arm, "layer": layer, "rows": rows}


def _grids(
    workdirs: Mapping[tuple[str, str], Path],
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yields each arm's images, one row per class, with frames that show the check's result."""
    for (group, arm), workdir in workdirs.items():
        generator = sampling.load_generator(workdir)
        names = load_description(workdir)["class_names"]
        yield f"{group} {arm}".strip(), _framed_rows(generator, names)
        if arm == "attention":
            shut_gates(generator)
            yield f"{group} {OFF}".strip(), _framed_rows(generator, names)


def _framed_rows(generator: Any, names: Sequence[str]) -> list[tuple[str, str]]:
    rows = []
    for name, images in class_images(generator, names, _ROW).items():
        outcome = geotex.check(name, images)
        framed = []
        for image, readable, satisfied in zip(
            images, outcome.readable, outcome.satisfied, strict=True
        ):
            kind = "satisfied" if satisfied else "violated" if readable else "unreadable"
            framed.append(_framed(image, FRAMES[kind]))
        rows.append((name, png_address(to_picture(image_grid(framed, _ROW)))))
    return rows


def _framed(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """An image enlarged twofold, with a frame around it."""
    image = image.repeat(2, axis=0).repeat(2, axis=1)
    width = _FRAME_WIDTH
    size = [side + 2 * width for side in image.shape[:2]]
    framed = np.full((*size, 3), colour, np.uint8)
    framed[width:-width, width:-width] = image
    return framed


def _overlays(workdirs: Mapping[tuple[str, str], Path]) -> Iterator[dict[str, Any]]:
    """Yields attention maps of the generator from both parts of readable images, with the lift."""
    for (group, arm), workdir in workdirs.items():
        if arm not in ("attention", "local"):
            continue
        generator = sampling.load_generator(workdir)
        names = load_description(workdir)["class_names"]
        images = class_images(generator, names, _LOOKED_AT)
        for label, name in enumerate(names):
            if name not in geotex.GEOMETRIES:
                continue
            parts = geotex.locate_parts(name, images[name])
            chosen = np.flatnonzero(np.all(np.any(parts, axis=(2, 3)), axis=1))[:_OVERLAID]
            if not len(chosen):
                continue
            parts, shown = parts[chosen], images[name][chosen]
            seeds = np.array(class_seeds(name, _LOOKED_AT, names))[chosen]
            latents = sampling.latents_from_seeds(seeds, generator.latent_dim)
            inputs = latents, np.full(len(chosen), label, np.int32)
            points = np.array([[_middle(part) for part in both] for both in parts])
            for layer, scores in attention_maps(generator, inputs).items():
                maps = maps_at(scores, points, shown.shape[1:3])
                figure = attention_figure(shown, points, maps)
                lift = partner_lift(scores, parts)
                yield {
                    "arm": f"{group} {arm}".strip(),
                    "name": name,
                    "layer": layer,
                    "lift": mean_known(lift),
                    "figure": png_address(to_picture(figure)),
                }


def _middle(part: np.ndarray) -> tuple[int, int]:
    """The pixel of a part, bool `(S, S)`, that is nearest to the part's centre."""
    pixels = np.argwhere(part)
    distances = np.square(pixels - pixels.mean(axis=0)).sum(axis=1)
    row, column = pixels[distances.argmin()]
    return int(row), int(column)
