"""Measures the checkpoints of a run on drawn images: its images, and what its attention does."""

import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sagan_tf import geotex, sampling
from sagan_tf.attention import (
    attention_layers,
    attention_maps,
    attention_measures,
    partner_lift,
)
from sagan_tf.evaluation.images import GeneratedImages
from sagan_tf.evaluation.moments import Moments, moments_of
from sagan_tf.models import Discriminator, Generator
from sagan_tf.run.checkpoint import checkpoint_steps, restore_network
from sagan_tf.run.workdir import CHECKPOINTS, add_line, load_description
from sagan_tf.sampling import from_uint8
from sagan_tf.study.patches import flat_distance, patch_distance, patches
from sagan_tf.study.plans import OFF, Run

RECORDS = "measures.jsonl"
# With fewer readable images, a geometry class is graded 0.
LEAST_READABLE = 20
# Number of images of each geometry class for which attention is measured.
_ATTENDED = 32
# Images to generate at a time.
_BATCH_SIZE = 256


def load_measures(workdir: Path) -> list[dict[str, Any]]:
    """The measures of a run, in the order in which they were made; JSON null becomes NaN."""
    path = workdir / RECORDS
    if not path.exists():
        return []
    return [_with_nan(json.loads(line)) for line in path.read_text().splitlines()]


def is_measured(workdir: Path, run: Run) -> bool:
    """Whether the measures of all checkpoints exist; the checkpoints themselves may be gone."""
    every, last = int(run.flags["checkpoint_every"]), int(run.flags["steps"])
    own = [record for record in load_measures(workdir) if record["arm"] == run.arm]
    steps = {record["step"] for record in own if record["classes"]}
    # The generator that is not averaged is measured last.
    return steps >= {*range(every, last, every), last} and any(
        (record["step"], record["averaged"]) == (last, False) for record in own
    )


def discard_measures(workdir: Path) -> None:
    """Deletes a run's measures if it has no checkpoints, so that it is to start again.

    Measures of two trainings of a run would not belong together: on another device even equal seeds
    give other weights.
    """
    if not checkpoint_steps(workdir / CHECKPOINTS):
        (workdir / RECORDS).unlink(missing_ok=True)


def measure(workdir: Path, run: Run, samples: int) -> Iterator[int]:
    """Measures every checkpoint that has not been measured yet.

    Records are appended to `measures.jsonl` in the workdir. They are of the averaged generator, if
    there is one, and at the last step also of the generator that is not averaged. In runs with
    attention the generator is measured a second time with `gamma` set to 0, as the arm `OFF`, and
    the record of step 0 has the attention of random weights.

    Args:
        workdir: the run's directory.
        run: the run.
        samples: images per class.

    Yields:
        Each step after it has been measured.
    """
    done = {
        (record["step"], record["averaged"])
        for record in load_measures(workdir)
        if record["arm"] == run.arm
    }
    description = load_description(workdir)
    names = description["class_names"]
    ema = description["ema"]
    attends = run.flags.get("mixing") in ("attention", "local_attention")
    # Only checkpoints that all runs have, without those of steps at which a run was stopped.
    every, last = run.flags["checkpoint_every"], run.flags["steps"]
    steps = checkpoint_steps(workdir / CHECKPOINTS)
    wanted = [(step, ema) for step in steps if step % every == 0 or step == last]
    if attends:
        wanted.insert(0, (0, False))
    if ema:
        wanted.append((last, False))
    for step, averaged in wanted:
        if (step, averaged) in done:
            continue
        about = {"run": run.name, "group": run.group, "seed": run.seed}
        about |= {"step": step, "averaged": averaged}
        generator, discriminator = _networks(workdir, description, step, averaged)
        own = {**about, "arm": run.arm, "classes": {}, "attention": {}}
        if step:
            own["classes"] = _classes(generator, names, samples)
        if attends and (averaged or not step or not ema):
            own["attention"] = _attention(generator, discriminator, names)
        if step and run.arm == "attention":
            shut_gates(generator)
            classes = _classes(generator, names, samples)
            shut = {**about, "arm": OFF, "classes": classes, "attention": {}}
            add_line(workdir / RECORDS, _without_nan(shut))
        # Written last, because this record marks the step as done.
        add_line(workdir / RECORDS, _without_nan(own))
        yield step


def shut_gates(generator: keras.Model) -> None:
    """Sets `gamma` of every attention layer to 0, so that attention adds nothing."""
    for layer in attention_layers(generator).values():
        layer.gamma.assign(0.0)


def class_images(generator: keras.Model, names: Sequence[str], count: int) -> dict[str, np.ndarray]:
    """Generated images of every class, uint8 `(count, S, S, 3)`, from `class_seeds`.

    Args:
        generator: a generator of classes of GeoTex.
        names: names of its classes, in the order of their labels.
        count: number of images of each class.
    """
    images = GeneratedImages(generator, count * len(names))
    parts = [
        images.read(start, min(start + _BATCH_SIZE, images.num_images))[0]
        for start in range(0, images.num_images, _BATCH_SIZE)
    ]
    # Classes alternate.
    whole = np.concatenate(parts)
    return {name: whole[label :: len(names)] for label, name in enumerate(names)}


def class_seeds(name: str, count: int, names: Sequence[str] = geotex.CLASS_NAMES) -> range:
    """The seeds of a class's images, among those of the generator's classes `names`.

    With all classes, these are also the numbers of its drawn images.
    """
    first, step = names.index(name), len(names)
    return range(first, first + count * step, step)


def _networks(
    workdir: Path, description: Mapping[str, Any], step: int, averaged: bool
) -> tuple[keras.Model, keras.Model]:
    """The generator and the discriminator at a step; step 0 has random weights."""
    discriminator = Discriminator.from_config(description["discriminator"])
    discriminator.build()
    if not step:
        generator = Generator.from_config(description["generator"])
        generator.build()
        return generator, discriminator
    generator, _ = sampling.restore_generator(workdir, averaged, step=step)
    restore_network(workdir / CHECKPOINTS, discriminator, step)
    return generator, discriminator


def _classes(
    generator: keras.Model, names: Sequence[str], samples: int
) -> dict[str, dict[str, float]]:
    """Scores by class, with `patch_distance`, and with `graded`, in [-1, 1], for textures, too.

    Textures are graded by their patches: 1 if they are like the patches of drawn images, 0 if they
    are as different as patches of the right colours without texture.
    """
    found = {}
    for name, images in class_images(generator, names, samples).items():
        scores = geotex.class_scores(name, images)
        drawn, flat = _drawn(name, samples, generator.image_size)
        scores["patch_distance"] = patch_distance(drawn, images)
        if name not in geotex.GEOMETRIES:
            scores["graded"] = 1 - scores["patch_distance"] / flat
        elif scores["readable"] * samples < LEAST_READABLE:
            scores["graded"] = 0.0  # too few readable images to see a relation
        scores["graded"] = min(1.0, max(-1.0, scores["graded"]))
        found[name] = {**scores, "count": samples}
    return found


@functools.cache
def _drawn(name: str, samples: int, image_size: int) -> tuple[Moments, float]:
    """Moments of drawn images' patches, and the patches' distance to themselves without texture."""
    images = geotex.draw_class(name, samples, image_size)
    return moments_of(patches(images)), flat_distance(images)


def _attention(
    generator: keras.Model, discriminator: keras.Model, names: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """`attention_measures` and `partner_lift` by layer of both networks and by class.

    The generator is measured on its own readable images, the discriminator on drawn images.
    `other_lift` is the lift of another image's maps: the part that does not depend on the image.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    images = class_images(generator, names, _ATTENDED)
    for label, name in enumerate(names):
        if name not in geotex.GEOMETRIES:
            continue
        labels = np.full(_ATTENDED, label, np.int32)
        seeds = class_seeds(name, _ATTENDED, names)
        latents = sampling.latents_from_seeds(seeds, generator.latent_dim)
        real, real_parts = drawn_with_parts(name, _ATTENDED, generator.image_size)
        for network, inputs, parts in (
            (generator, (latents, labels), geotex.locate_parts(name, images[name])),
            (discriminator, (from_uint8(real), labels), real_parts),
        ):
            measures = attention_measures(network, inputs)
            for path, scores in attention_maps(network, inputs).items():
                of_layer = found.setdefault(path.removeprefix("ema_"), {})
                lift = partner_lift(scores, parts)
                other = partner_lift(np.roll(scores, 1, axis=0), parts)
                of_layer[name] = {**measures[path], "lift": _mean(lift), "other_lift": _mean(other)}
    return found


def drawn_with_parts(name: str, count: int, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawn images of a geometry class, uint8, and masks of their parts, bool `(N, 2, S, S)`."""
    examples = [geotex.draw(index, image_size) for index in class_seeds(name, count)]
    return np.stack([example.image for example in examples]), np.stack(
        [example.parts for example in examples]
    )


def _mean(values: np.ndarray) -> float:
    """The mean of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _without_nan(value: Any) -> Any:
    """The value with null (`None`) instead of NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_nan(inner) for name, inner in value.items()}
    return math.nan if value is None else value
