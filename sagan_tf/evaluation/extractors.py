"""The extractor that a name stands for."""

import difflib
from collections.abc import Collection
from pathlib import Path

from sagan_tf.evaluation.feature_files import Extractor
from sagan_tf.evaluation.images import Images, RealImages
from sagan_tf.evaluation.protocols import Protocol

# Of the Inception network, the features that a metric is made of, where it is not these.
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
    """The extractor of a name.

    Args:
        name: "inception", "classifier", or the path of a Keras model; `None` for the classifier if
            the real images are the digits, else Inception.
        real: the real images, which the classifier is trained on.
        num_classes: of them.
        metrics: what shall be computed of the features.
        protocol: says how images are resized.
        directory: where the classifier is kept.

    Raises:
        ValueError: if it cannot be had.
    """
    # Imported where they are needed: each takes time.
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

    # It knows ImageNet's classes alone.
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
