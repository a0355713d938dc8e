"""Scores generated images against real ones; every score is recorded with its protocol.

python -m sagan_tf.evaluate --workdir=runs/imagenet
python -m sagan_tf.evaluate --images=folder:samples --dataset=cifar10 --image_size=32
python -m sagan_tf.evaluate --images=real --workdir=runs/digits
python -m sagan_tf.evaluate --compare first.jsonl second.jsonl
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import logging

from sagan_tf import command
from sagan_tf.evaluation.protocols import METRICS, PROTOCOLS, Protocol
from sagan_tf.extras import extra
from sagan_tf.fields import check_values, device_setting, setting, words

if TYPE_CHECKING:
    from sagan_tf.evaluation.evaluation import Evaluation
    from sagan_tf.evaluation.images import Images
    from sagan_tf.evaluation.sides import RealPlace
    from sagan_tf.machine.team import Team

_DEFAULT_METRICS = ("is", "fid", "kid", "overlap", "agreement", "spread")
_WORKDIR = "runs/digits"


@dataclasses.dataclass(frozen=True)
class EvaluateSettings:
    """Command-line flags of `python -m sagan_tf.evaluate`."""

    workdir: str | None = setting(
        None,
        f"As of `sample`: a run's directory, among others; {_WORKDIR} without `--images`.",
    )
    images: str | None = setting(
        None,
        "Images to score instead of the run's: folder:PATH of image files, npz:PATH with `arr_0`, "
        "savedmodel:PATH of an exported version, http://... of a server, or real: other images of "
        "the data set (at most half), whose scores are the best that can be expected.",
    )
    model_name: str = setting("sagan", "Name of the model on a server.")
    averaged: bool = setting(True, "Score the run's averaged generator, if it keeps one.")
    best: bool = setting(False, "Score the best checkpoint (`--eval_every`), not the newest.")

    dataset: str | None = setting(
        None,
        "Real images: a data set, or npz:PATH with `arr_0` or with published statistics (`mu` and "
        "`sigma`, `mu_s` and `sigma_s`); by default the run's data set.",
    )
    data_dir: str | None = setting(None, "Directory in which TensorFlow Datasets keeps its data.")
    split: str = setting("train", "Split of the real images.")
    image_size: int | None = setting(None, "Side of the real images, if not the run's.", at_least=2)
    background: str | None = setting(
        None, "Colour behind transparent images of a folder; by default the run's, else white."
    )

    protocol: str = setting(
        "fidelity", f"How to score: {', '.join(PROTOCOLS)}.", choices=tuple(PROTOCOLS)
    )
    num_images: int | None = setting(None, "Generated images, if not the protocol's.", at_least=2)
    num_real: int | None = setting(None, "Real images, if not the protocol's.", at_least=2)
    class_images: int = setting(5000, "Generated images of each class, for intra_fid.", at_least=2)
    metrics: tuple[str, ...] = setting(
        _DEFAULT_METRICS, f"Metrics with commas, of {', '.join(METRICS)}.", choices=tuple(METRICS)
    )
    groups: str | None = setting(
        None,
        "Average scores of classes by group: a JSON file, or imagenet for its animals and "
        "geological formations.",
    )
    extractor: str | None = setting(
        None,
        "Feature extractor: inception, classifier (trained on the real images in seconds, for "
        "small pictures), or PATH.keras; by default the classifier for `digits`, else inception.",
    )
    device: str = device_setting()
    cache_dir: str = setting(
        "~/.cache/sagan_tf",
        "Directory in which features are cached, so that an interrupted evaluation can resume.",
    )
    out: str | None = setting(None, "File to which to append the scores as a line of JSON.")
    report: str | None = setting(
        None, "Directory for a page with scores, classes, neighbours and curves (index.html)."
    )
    compare: bool = setting(
        False, "Instead of scoring, compare the last lines of two files that `--out` wrote."
    )
    compared: tuple[str, ...] = words()


def main(settings: EvaluateSettings) -> None:
    """Prints scores, and appends them as a line of JSON to the run's scores and to `--out`."""
    _check(settings)
    if settings.compare:
        from sagan_tf.evaluation.score_lines import print_comparison

        print_comparison(*settings.compared)
        return
    from sagan_tf.machine.devices import in_words, make_team
    from sagan_tf.machine.team import code_facts

    report = _report_writer(settings)
    team = make_team(settings.device)
    with team.complete():
        team.agree(code_facts() | dataclasses.asdict(settings))
        if team.is_chief:
            print(f"device: {in_words()}")
        _evaluate(settings, team, report)


def _evaluate(settings: EvaluateSettings, team: "Team", report: Callable[..., None] | None) -> None:
    from sagan_tf import pretrained
    from sagan_tf.evaluation.evaluation import evaluate
    from sagan_tf.evaluation.extractors import make_extractor
    from sagan_tf.evaluation.groups import read_groups
    from sagan_tf.evaluation.images import RealImages
    from sagan_tf.evaluation.sides import images_of_others

    protocol = _protocol(settings)
    cache = Path(settings.cache_dir).expanduser()
    workdir = settings.workdir or (None if settings.images else _WORKDIR)
    description = {} if workdir is None else pretrained.description(workdir)
    place = _real_place(settings, description)
    _check_background(settings, place.name)
    with team.chief_first():  # the chief downloads and prepares them
        real, class_names, known = place.images(protocol.num_real)
    if isinstance(real, RealImages):
        for note in real.notes:
            logging.warning("%s", note)
    learned = real
    groups = {} if settings.groups is None else read_groups(settings.groups, class_names)
    num_images, step = protocol.num_images, None
    if "intra_fid" in settings.metrics:
        num_images = max(num_images, settings.class_images * len(class_names))
    if settings.images == "real":
        real, generated = place.halves(protocol, settings.num_images)
    elif settings.images is not None:
        generated = images_of_others(
            settings.images,
            num_images,
            class_names,
            place.image_size,
            place.background,
            settings.model_name,
        )
    else:
        assert workdir is not None  # because `--images` is not given
        generated, step = _generated_images(
            settings, workdir, protocol, num_images, description, class_names
        )
    with team.chief_first():  # the chief downloads or trains the extractor
        extractor = make_extractor(
            settings.extractor, learned, len(class_names), settings.metrics, protocol, cache
        )
    evaluation = evaluate(
        real, generated, extractor, protocol, settings.metrics, cache, known, groups, team
    )
    if evaluation is not None:
        _keep(settings, evaluation, extractor.name, step, workdir, class_names, report)


def _keep(
    settings: EvaluateSettings,
    evaluation: "Evaluation",
    extractor: str,
    step: int | None,
    workdir: str | None,
    class_names: Sequence[str],
    report: Callable[..., None] | None,
) -> None:
    """Prints the scores, and writes them to the run, `--out` and `--report`."""
    from sagan_tf import pretrained
    from sagan_tf.evaluation.score_lines import print_scores
    from sagan_tf.evaluation.yardstick import real_to_real
    from sagan_tf.run.workdir import add_line, add_score

    record = {"step": step, **evaluation.record}
    # Distances of the Inception network need no reference, as there are published values.
    if evaluation.real_features is not None and "features" in evaluation.real_features.names:
        count = len(evaluation.features)
        record["real_to_real"] = real_to_real(evaluation.real_features, count, settings.metrics)
    if workdir and not settings.images and pretrained.is_run(workdir):
        add_score(workdir, record)
    if settings.out is not None:
        add_line(Path(settings.out), record)
    if report is not None and settings.report is not None:
        earlier = [] if workdir is None else pretrained.scores(workdir)
        report(Path(settings.report), evaluation, step, class_names, earlier)
        print(f"report: {Path(settings.report) / 'index.html'}")
    evaluation.features.remove()
    print_scores(
        record, extractor, () if settings.metrics == _DEFAULT_METRICS else settings.metrics
    )


def _check_background(settings: EvaluateSettings, real: str) -> None:
    places = settings.images or "", real
    if settings.background and not any(place.startswith("folder:") for place in places):
        raise ValueError(
            "`--background` is for images of `folder:PATH`. Received: "
            f"--background={settings.background}, and none are. Leave it out."
        )


def _report_writer(settings: EvaluateSettings) -> Callable[..., None] | None:
    """The function that writes `--report`; `None` if the flag is not given."""
    if settings.report is None:
        return None
    with extra("report"):
        from sagan_tf.evaluation.report import write_report
    if Path(settings.report).is_file():
        raise ValueError(f"`--report` must be a directory. Received: {settings.report}, a file")
    return write_report


def _check(settings: EvaluateSettings) -> None:
    from sagan_tf.evaluation.sides import check_images

    check_values(settings)
    if len(settings.compared) != (2 if settings.compare else 0):
        raise ValueError(
            "`--compare` expects two files, and no other flag does. Received: "
            + " ".join(settings.compared)
        )
    if settings.images is not None:
        if not (settings.workdir or settings.dataset):
            raise ValueError("`--images` needs `--dataset` or `--workdir`, to compare them with.")
        if settings.best or not settings.averaged:
            raise ValueError(
                "`--best` and `--averaged` choose weights of a run. Leave them out, or `--images`."
            )
        check_images(settings.images, settings.protocol)
    if settings.image_size is not None and (settings.dataset or "").startswith("npz:"):
        raise ValueError("`--image_size` cannot resize npz:PATH. Leave it out.")


def _protocol(settings: EvaluateSettings) -> Protocol:
    protocol = PROTOCOLS[settings.protocol]
    return dataclasses.replace(
        protocol,
        num_images=settings.num_images or protocol.num_images,
        num_real=settings.num_real or protocol.num_real,
    )


def _generated_images(
    settings: EvaluateSettings,
    workdir: str,
    protocol: Protocol,
    num_images: int,
    description: Mapping[str, Any],
    class_names: Sequence[str],
) -> tuple["Images", int]:
    """Images of the run's generator with the labels of the real classes, and its training step."""
    from sagan_tf import sampling
    from sagan_tf.evaluation.images import GeneratedImages
    from sagan_tf.evaluation.matching import match_classes

    generator, step = sampling.restore_generator(workdir, settings.averaged, settings.best)
    images = GeneratedImages(generator, num_images, protocol.labels, quantized=protocol.quantized)
    names = description["class_names"] if description["generator"]["num_classes"] else ()
    return match_classes(images, names, class_names, "--workdir"), step


def _real_place(settings: EvaluateSettings, description: Mapping[str, Any]) -> "RealPlace":
    """Where the real images are; settings that are not given are the run's."""
    from sagan_tf.data.registry import KINDS
    from sagan_tf.evaluation.sides import RealPlace

    run = description.get("settings", {})
    dataset, data_dir = settings.dataset, settings.data_dir
    if dataset is None:
        dataset = run["dataset"]
        # A run may have kept a directory that its data set did not read.
        if data_dir is None and dataset.partition(":")[0] not in KINDS:
            data_dir = run["data_dir"]
    return RealPlace(
        dataset,
        data_dir,
        settings.split,
        settings.image_size or run.get("image_size"),
        settings.background or run.get("background", "white"),
        description.get("class_names", ()),
        settings.metrics,
    )


if __name__ == "__main__":
    command.run(main, EvaluateSettings)
