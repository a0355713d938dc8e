"""A run of drawn images -> what each of its checkpoints draws, and what its attention looks at."""

import functools
import json
import math
from collections.abc import Iterator, Mapping
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
# Of fewer readable images nothing is graded.
LEAST_READABLE = 20
# Images of each geometry class whose attention is measured.
_ATTENDED = 32
# Images drawn at a time.
_BATCH_SIZE = 256


def load_measures(workdir: Path) -> list[dict[str, Any]]:
    """What was measured of a run, in the order in which it was; none is known as NaN."""
    path = workdir / RECORDS
    if not path.exists():
        return []
    return [_with_nan(json.loads(line)) for line in path.read_text().splitlines()]


def measure(workdir: Path, run: Run, samples: int) -> Iterator[int]:
    """Measures every checkpoint that was not yet.

    Lines are added to `measures.jsonl` of the workdir: of the averaged generator, if there is one,
    and at the last step of the other one, too. Of runs with attention the generator is measured
    once more with its gates shut, as the arm `OFF`, and step 0 is the attention of random weights.

    Args:
        workdir: of the run.
        run: what it is.
        samples: images per class.

    Yields:
        Each step that was measured now.
    """
    done = {
        (record["step"], record["averaged"])
        for record in load_measures(workdir)
        if record["arm"] == run.arm
    }
    description = load_description(workdir)
    ema = description["ema"]
    attends = run.flags.get("mixing") in ("attention", "local_attention")
    # Those that all runs have, not where one was stopped.
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
        about = {"run": run.name, "seed": run.seed, "step": step, "averaged": averaged}
        generator, discriminator = _networks(workdir, description, step, averaged)
        own = {**about, "arm": run.arm, "classes": {}, "attention": {}}
        if step:
            own["classes"] = _classes(generator, samples)
        if attends and (averaged or not step or not ema):
            own["attention"] = _attention(generator, discriminator)
        if step and run.arm == "attention":
            shut_gates(generator)
            shut = {**about, "arm": OFF, "classes": _classes(generator, samples), "attention": {}}
            add_line(workdir / RECORDS, _without_nan(shut))
        # Last, as what is done is told from it.
        add_line(workdir / RECORDS, _without_nan(own))
        yield step


def shut_gates(generator: keras.Model) -> None:
    """Sets gamma of every attention layer to 0, so that they add nothing."""
    for layer in attention_layers(generator).values():
        layer.gamma.assign(0.0)


def class_images(generator: keras.Model, count: int) -> dict[str, np.ndarray]:
    """Images of every class of GeoTex, uint8 `(count, S, S, 3)`, those of `class_seeds`."""
    images = GeneratedImages(generator, count * len(geotex.CLASS_NAMES))
    parts = [
        images.read(start, min(start + _BATCH_SIZE, images.num_images))[0]
        for start in range(0, images.num_images, _BATCH_SIZE)
    ]
    # Classes come in turn.
    whole = np.concatenate(parts)
    return {
        name: whole[label :: len(geotex.CLASS_NAMES)]
        for label, name in enumerate(geotex.CLASS_NAMES)
    }


def class_seeds(name: str, count: int) -> range:
    """The seeds of a class's images."""
    first, step = geotex.CLASS_NAMES.index(name), len(geotex.CLASS_NAMES)
    return range(first, first + count * step, step)


def _networks(
    workdir: Path, description: Mapping[str, Any], step: int, averaged: bool
) -> tuple[keras.Model, keras.Model]:
    """Generator and discriminator of a step."""
    discriminator = Discriminator.from_config(description["discriminator"])
    discriminator.build()
    if not step:
        generator = Generator.from_config(description["generator"])
        generator.build()
        return generator, discriminator
    generator, _ = sampling.restore_generator(workdir, averaged, step=step)
    restore_network(workdir / CHECKPOINTS, discriminator, step)
    return generator, discriminator


def _classes(generator: keras.Model, samples: int) -> dict[str, dict[str, float]]:
    """By class its scores, `patch_distance`, and `graded`, in [-1, 1], also of textures.

    Textures are graded by their patches: 1 as near to those of drawn images as they can be, 0 as
    far as patches of the right colours without texture are.
    """
    found = {}
    for name, images in class_images(generator, samples).items():
        scores = geotex.class_scores(name, images)
        drawn, flat = _drawn(name, samples, generator.image_size)
        scores["patch_distance"] = patch_distance(drawn, images)
        if name not in geotex.GEOMETRIES:
            scores["graded"] = 1 - scores["patch_distance"] / flat
        elif scores["readable"] * samples < LEAST_READABLE:
            scores["graded"] = 0.0  # nothing was seen to be related
        scores["graded"] = min(1.0, max(-1.0, scores["graded"]))
        found[name] = {**scores, "count": samples}
    return found


@functools.cache
def _drawn(name: str, samples: int, image_size: int) -> tuple[Moments, float]:
    """Moments of drawn images' patches, and how far those are without texture."""
    images = geotex.draw_class(name, samples, image_size)
    return moments_of(patches(images)), flat_distance(images)


def _attention(
    generator: keras.Model, discriminator: keras.Model
) -> dict[str, dict[str, dict[str, float]]]:
    """By network and layer `attention_measures` and, by class, `partner_lift`.

    The generator is seen while it draws what can be read, the discriminator while it looks at
    drawn images. `other_lift` is that of another image's maps: what needs no look at the image.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    images = class_images(generator, _ATTENDED)
    for name in geotex.GEOMETRIES:
        labels = np.full(_ATTENDED, geotex.CLASS_NAMES.index(name), np.int32)
        latents = sampling.latents_from_seeds(class_seeds(name, _ATTENDED), generator.latent_dim)
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
    """Drawn images of a geometry class, uint8, and where their parts are, bool `(N, 2, S, S)`."""
    examples = [geotex.draw(index, image_size) for index in class_seeds(name, count)]
    return np.stack([example.image for example in examples]), np.stack(
        [example.parts for example in examples]
    )


def _mean(values: np.ndarray) -> float:
    """Of what is known; NaN of nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: it becomes null."""
    if isinstance(value, Mapping):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_nan(inner) for name, inner in value.items()}
    return math.nan if value is None else value
