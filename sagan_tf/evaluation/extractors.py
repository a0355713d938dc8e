"""Makes the feature extractor that a name stands for."""

import difflib
from collections.abc import Collection
from pathlib import Path

from sagan_tf.evaluation.feature_files import Extractor
from sagan_tf.evaluation.images import Images, RealImages
from sagan_tf.evaluation.protocols import Protocol

# Features of the Inception network that metrics use, and the exceptions by metric.
_USUAL_TAPS = ("2048",)
_TAPS = {"is": ("logits_unbiased",), "sfid": ("spatial",), "agreement": ("logits",)}
_IMAGENET_CLASSES = 1000
_NAMES = ("inception", "classifier")


def make_extractor(
    name: str | None,
    real: Images,
    num_classes: int,
    metrics: Collection[str],
    protocol: Protocol,
    directory: Path,
) -> Extractor:
    """The extractor with a name.

    Args:
        name: "inception", "classifier", or the path of a Keras model; `None` for the classifier if
            the real images are the digits, else Inception.
        real: the real images, on which the classifier is trained.
        num_classes: number of classes of the real images.
        metrics: names of the metrics to compute from the features.
        protocol: evaluation protocol, which says how images are resized.
        directory: where the classifier is stored.

    Raises:
        ValueError: for an unknown name, or an extractor that cannot be loaded or trained.
    """
    # Extractors are imported where they are needed, as each import takes time.
    name = name or ("classifier" if real.identity.get("dataset") == "digits" else "inception")
    if name == "inception":
        return _inception(real, num_classes, metrics, protocol)
    if name == "classifier":
        from sagan_tf.evaluation.classifier import ClassifierExtractor

        if not isinstance(real, RealImages):
            raise ValueError(
                "`--extractor=classifier` needs a data set with classes to learn. Received: a file "
                "of real images or statistics. Use `--extractor=inception`, or a Keras model of "
                "your own by `--extractor=PATH.keras`."
            )
        return ClassifierExtractor(real, directory)
    if not Path(name).is_file():
        near = difflib.get_close_matches(name, _NAMES, 1)
        raise ValueError(
            f"`--extractor` is one of {', '.join(_NAMES)}, or PATH.keras, the file of a Keras "
            f"model. Received: {name}.{f' Did you mean {near[0]}?' if near else ''}"
        )
    from sagan_tf.evaluation.keras_extractor import KerasExtractor

    return KerasExtractor(name, protocol.resize)


def _inception(
    real: Images, num_classes: int, metrics: Collection[str], protocol: Protocol
) -> Extractor:
    from sagan_tf.evaluation.inception import InceptionExtractor
    from sagan_tf.evaluation.inception_weights import MissingWeights

    # The Inception network knows ImageNet's classes only.
    known = num_classes == _IMAGENET_CLASSES
    wanted = [metric for metric in metrics if known or metric != "agreement"]
    taps = {tap for metric in wanted for tap in _TAPS.get(metric, _USUAL_TAPS)}
    try:
        return InceptionExtractor(resize=protocol.resize, taps=sorted(taps))
    except MissingWeights as error:
        instead = "a Keras model of your own by `--extractor=PATH.keras`"
        if isinstance(real, RealImages) and num_classes > 1:
            instead = (
                "`--extractor=classifier`, which learns from the real images within minutes and "
                f"needs no download, or {instead}"
            )
        raise ValueError(
            f"{str(error).rstrip('.')}. Or score with {instead}; such scores compare with one "
            "another and with nothing that is published."
        ) from None
