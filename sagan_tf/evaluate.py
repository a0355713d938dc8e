"""Scores generated images against real ones, by a protocol that goes with the numbers.

python -m sagan_tf.evaluate --workdir=runs/imagenet
python -m sagan_tf.evaluate --images=folder:samples --dataset=cifar10 --image_size=32
python -m sagan_tf.evaluate --images=real --workdir=runs/digits
python -m sagan_tf.evaluate --compare first.jsonl second.jsonl
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from sagan_tf import command
from sagan_tf.fields import setting, words

if TYPE_CHECKING:
    from sagan_tf.evaluation.image_files import ArrayImages
    from sagan_tf.evaluation.images import GeneratedImages, Images, NamedImages
    from sagan_tf.evaluation.moments import Moments
    from sagan_tf.evaluation.protocols import Protocol
    from sagan_tf.machine.team import Team

METRICS = (
    "is",
    "fid",
    "fid_infinity",
    "sfid",
    "intra_fid",
    "kid",
    "overlap",
    "agreement",
    "spread",
)
_DEFAULT_METRICS = ("is", "fid", "kid", "overlap", "agreement", "spread")
# Of the protocol, what the command can change.
_NUMBERS = ("num_images", "num_real")
_WORKDIR = "runs/digits"
# What `--images` may begin with.
_IMAGES = {
    "folder": "folder:PATH",
    "npz": "npz:PATH",
    "savedmodel": "savedmodel:PATH",
    "http": "http://...",
    "https": "https://...",
    "real": "real",
}


@dataclasses.dataclass(frozen=True)
class EvaluateSettings:
    """What `python -m sagan_tf.evaluate` can be told."""

    workdir: str | None = setting(None, f"A training run; {_WORKDIR} if `--images` is not given.")
    images: str | None = setting(
        None,
        "Instead of the run's generator: folder:PATH of image files, npz:PATH with `arr_0`, "
        "savedmodel:PATH of an exported version, http://... of a server, or real: other images of "
        "the data set (at most half), whose scores are the best that can be hoped for.",
    )
    model_name: str = setting("sagan", "The model's name at a server.")
    averaged: bool = setting(True, "Score the run's averaged generator, if it keeps one.")
    best: bool = setting(False, "The best checkpoint (`--eval_every` of training), not the newest.")

    dataset: str | None = setting(
        None,
        "Real images: a data set, or npz:PATH with `arr_0`, or with statistics that are published "
        "(`mu` and `sigma`, `mu_s` and `sigma_s`); without it those of the run.",
    )
    data_dir: str | None = setting(None, "Where TensorFlow Datasets keeps them.")
    split: str = setting("train", "Of the real images.")
    image_size: int | None = setting(None, "Side of the real images; without it the run's.")
    background: str | None = setting(
        None, "Colour behind transparent images of a folder; without it the run's, else white."
    )

    protocol: str = setting("fidelity", "How to score: fidelity, sagan, clean or adm.")
    num_images: int | None = setting(None, "Generated images; without it the protocol's.")
    num_real: int | None = setting(None, "Real images at most; without it the protocol's.")
    class_images: int = setting(5000, "Generated images of each class, for intra_fid.")
    metrics: tuple[str, ...] = setting(_DEFAULT_METRICS, f"Of: {', '.join(METRICS)}.")
    groups: str | None = setting(
        None,
        "Average scores of classes by group: a file of JSON, or imagenet for its animals and "
        "geological formations.",
    )
    extractor: str | None = setting(
        None,
        "inception, classifier (of the real images, trained in seconds: for small pictures), or "
        "PATH.keras; without it the classifier for `digits`, else inception.",
    )
    cache_dir: str = setting(
        "~/.cache/sagan_tf", "Where features are kept, from which an interrupted run goes on."
    )
    out: str | None = setting(None, "A file to which the line of JSON is added.")
    report: str | None = setting(
        None, "A directory for a page of scores, classes, neighbours and curves (index.html)."
    )
    compare: bool = setting(
        False, "Instead: compare the last scores of two files of such lines, if they are alike."
    )
    compared: tuple[str, ...] = words()


def main(settings: EvaluateSettings) -> None:
    """Prints scores, and adds them as a line of JSON to the run's and to `--out`."""
    _check(settings)
    if settings.compare:
        from sagan_tf.evaluation.score_lines import print_comparison

        print_comparison(*settings.compared)
        return
    from sagan_tf.machine.devices import make_team
    from sagan_tf.machine.team import code_facts

    report = _report_writer(settings)
    team = make_team()
    with team.complete():
        team.agree(code_facts() | dataclasses.asdict(settings))
        _evaluate(settings, team, report)


def _evaluate(settings: EvaluateSettings, team: "Team", report: Callable[..., None] | None) -> None:
    from sagan_tf.evaluation.evaluation import evaluate
    from sagan_tf.evaluation.extractors import make_extractor
    from sagan_tf.evaluation.groups import read_groups
    from sagan_tf.evaluation.images import RealImages
    from sagan_tf.evaluation.score_lines import print_scores
    from sagan_tf.evaluation.yardstick import real_to_real
    from sagan_tf.run.workdir import add_line, add_score, load_description, load_scores

    protocol = _protocol(settings)
    cache = Path(settings.cache_dir).expanduser()
    workdir = settings.workdir or (None if settings.images else _WORKDIR)
    description = {} if workdir is None else load_description(workdir)
    run = description.get("settings", {})
    places = settings.images or "", settings.dataset or run["dataset"]
    if settings.background and not any(place.startswith("folder:") for place in places):
        raise ValueError(
            "`--background` is for images of `folder:PATH`. Received: "
            f"--background={settings.background}, and none are. Leave it out."
        )
    with team.chief_first():  # which downloads and prepares them
        real, class_names, known = _real_images(settings, description, protocol.num_real)
    if isinstance(real, RealImages):
        for note in real.notes:
            logging.warning("%s", note)
    learned = real
    groups = {} if settings.groups is None else read_groups(settings.groups, class_names)
    if settings.images == "real":
        real, generated, step = *_real_halves(settings, description, protocol), None
    else:
        found, step = _generated_images(settings, workdir, protocol, run, len(class_names))
        generated = _matched(settings, found, description, class_names)
    with team.chief_first():  # which downloads or trains it
        extractor = make_extractor(
            settings.extractor, learned, len(class_names), settings.metrics, protocol, cache
        )
    evaluation = evaluate(
        real, generated, extractor, protocol, settings.metrics, cache, known, groups, team
    )
    if evaluation is None:
        return
    record = {"step": step, **evaluation.record}
    # Distances of the Inception network have published values to be compared with.
    if evaluation.real_features is not None and "features" in evaluation.real_features.names:
        count = len(evaluation.features)
        record["real_to_real"] = real_to_real(evaluation.real_features, count, settings.metrics)
    if workdir is not None and settings.images is None:
        add_score(workdir, record)
    if settings.out is not None:
        add_line(Path(settings.out), record)
    if report is not None and settings.report is not None:
        earlier = [] if workdir is None else load_scores(workdir)
        report(Path(settings.report), evaluation, step, class_names, earlier)
        print(f"report: {Path(settings.report) / 'index.html'}")
    evaluation.features.remove()
    print_scores(record, extractor.name)


def _report_writer(settings: EvaluateSettings) -> Callable[..., None] | None:
    """The function that writes `--report`, if it is given."""
    if settings.report is None:
        return None
    with command.extra("report"):
        from sagan_tf.evaluation.report import write_report
    if Path(settings.report).is_file():
        raise ValueError(f"`--report` must be a directory. Received: {settings.report}, a file")
    return write_report


def _check(settings: EvaluateSettings) -> None:
    from sagan_tf.evaluation.protocols import PROTOCOLS

    if settings.protocol not in PROTOCOLS:
        raise ValueError(
            f"`--protocol` is one of {', '.join(PROTOCOLS)}. Received: {settings.protocol}"
        )
    unknown = set(settings.metrics) - set(METRICS)
    if unknown or not settings.metrics:
        raise ValueError(
            f"`--metrics` are of {', '.join(METRICS)}. Received: {','.join(settings.metrics)}"
        )
    for name in (*_NUMBERS, "class_images", "image_size"):
        value = getattr(settings, name)
        if value is not None and value < 2:
            raise ValueError(f"`--{name}` must be at least 2. Received: {value}")
    if len(settings.compared) != (2 if settings.compare else 0):
        raise ValueError(
            "`--compare` expects two files, and nothing else does. Received: "
            + " ".join(settings.compared)
        )
    if settings.images is not None:
        if settings.workdir is None and settings.dataset is None:
            raise ValueError(
                "`--images` needs real images to compare with: `--dataset` or `--workdir`."
            )
        if settings.images.partition(":")[0] not in _IMAGES:
            raise ValueError(
                f"`--images` is one of {', '.join(_IMAGES.values())}. Received: {settings.images}"
            )


def _protocol(settings: EvaluateSettings) -> "Protocol":
    from sagan_tf.evaluation.protocols import PROTOCOLS

    given = {name: getattr(settings, name) for name in _NUMBERS}
    given = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(PROTOCOLS[settings.protocol], **given)


def _matched(
    settings: EvaluateSettings,
    generated: "ArrayImages | GeneratedImages | NamedImages",
    description: Mapping[str, Any],
    class_names: Sequence[str],
) -> "Images":
    """Generated images with the labels that the real images' classes have."""
    from sagan_tf.evaluation.image_files import ArrayImages, FileImages
    from sagan_tf.evaluation.images import GeneratedImages
    from sagan_tf.evaluation.matching import match_classes

    if isinstance(generated, ArrayImages):  # whose classes have numbers and no names
        generated.check_labels(len(class_names))
        return generated
    if isinstance(generated, GeneratedImages):
        names = description["class_names"] if description["generator"]["num_classes"] else ()
        return match_classes(generated, names, class_names, "--workdir")
    strict = isinstance(generated, FileImages)
    return match_classes(generated, generated.class_names, class_names, "--images", strict)


def _real_images(
    settings: EvaluateSettings, description: Mapping[str, Any], num_images: int
) -> tuple["Images", tuple[str, ...], dict[str, "Moments"]]:
    """Real images, the names of their classes, and moments that are known without them."""
    from sagan_tf.data import load_source
    from sagan_tf.data.registry import DEFAULT_BACKGROUND
    from sagan_tf.evaluation.image_files import ArrayImages, NoImages
    from sagan_tf.evaluation.images import RealImages
    from sagan_tf.evaluation.published_statistics import read_moments
    from sagan_tf.run import data_set

    run = description.get("settings", {})
    name = settings.dataset or run["dataset"]
    if name.startswith("npz:"):
        path = name.removeprefix("npz:")
        known = read_moments(path)
        with np.load(path) as file:
            has_images = "arr_0" in file
        if has_images or not known:
            return ArrayImages(path, num_images), (), known
        missing = {"intra_fid", "kid", "overlap", "spread"} & set(settings.metrics)
        if missing:
            raise ValueError(
                f"{path} has statistics alone, and `--metrics` {', '.join(sorted(missing))} need "
                "real images. Leave them out, or name a data set."
            )
        return NoImages(path), (), known
    given = settings.dataset is not None
    data_dir = settings.data_dir or (None if given else run["data_dir"])
    image_size = settings.image_size or run.get("image_size")
    background = _background(settings, run) if name.startswith("folder:") else DEFAULT_BACKGROUND
    source = load_source(name, data_dir, settings.split, image_size, background)
    data_set.follow_order(source, description.get("class_names", ()))
    image_size = image_size or source.image_size
    if image_size is None:
        raise ValueError("`--image_size` must say to what size real images are brought.")
    images = RealImages(source, settings.split, image_size, num_images)
    return images, source.class_names, {}


def _background(settings: EvaluateSettings, run: dict[str, Any]) -> str:
    """What is put behind the transparent images of a folder."""
    return settings.background or run.get("background", "white")


def _real_halves(
    settings: EvaluateSettings, description: Mapping[str, Any], protocol: "Protocol"
) -> tuple["Images", "Images"]:
    """Real images, and others of the same data set that are scored as if they were generated.

    The others are the last of the data set's fixed order. So the first are also those that
    generated images are compared with if `--num_real` asks for as many.
    """
    from sagan_tf.evaluation.images import ImagesPart

    whole, *_ = _real_images(settings, description, sys.maxsize)
    half = whole.num_images // 2
    if half < max(2, settings.num_images or 0):
        raise ValueError(
            "`--images=real` scores at least 2 and at most half of the real images "
            "(`--num_images`) against the others. Received: "
            f"num_images={settings.num_images or 2} of {whole.num_images} real images. Ask for "
            "fewer, or take a larger data set."
        )
    count = min(protocol.num_images, half)
    first = whole.num_images - count
    real, *_ = _real_images(settings, description, min(protocol.num_real, first))
    identity = {"real": {**whole.identity, "first": first, "num_images": count}}
    return real, ImagesPart(whole, range(first, whole.num_images), identity)


def _generated_images(
    settings: EvaluateSettings,
    workdir: str | None,
    protocol: "Protocol",
    run: dict[str, Any],
    num_classes: int,
) -> tuple["ArrayImages | GeneratedImages | NamedImages", int | None]:
    """What is scored, and the step of its training if that is known."""
    from sagan_tf import sampling
    from sagan_tf.data.decode import parse_background
    from sagan_tf.evaluation import image_files, images

    num_images = protocol.num_images
    if "intra_fid" in settings.metrics:
        num_images = max(num_images, settings.class_images * num_classes)
    if settings.images is None:
        generator, step = sampling.restore_generator(
            workdir or _WORKDIR, settings.averaged, settings.best
        )
        return images.GeneratedImages(
            generator, num_images, protocol.labels, quantized=protocol.quantized
        ), step
    kind, _, path = settings.images.partition(":")
    if kind == "folder":
        size = settings.image_size or run.get("image_size")
        background = parse_background(_background(settings, run))
        return image_files.FileImages(path, num_images, size, background), None
    if kind == "npz":
        return image_files.ArrayImages(path, num_images), None
    if kind == "savedmodel":
        return images.SavedModelImages(path, num_images), None
    from sagan_tf.serving.client import Client

    client = Client(settings.images, settings.model_name)
    return images.ServedImages(client, settings.images, num_images), None


if __name__ == "__main__":
    command.run(main, EvaluateSettings)
