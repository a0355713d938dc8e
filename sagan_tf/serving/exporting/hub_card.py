"""Writes a published model's card: YAML for the Hugging Face Hub, Markdown for its readers."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import huggingface_hub

from sagan_tf.class_names import shortened
from sagan_tf.models import Generator
from sagan_tf.serving.exporting.model_card import facts

SAMPLES = "samples.png"
_TASK = "unconditional-image-generation"  # the only one of the Hub's tasks for GANs
_TAGS = ["gan", "sagan", "self-attention", "image-generation", "tensorflow", "keras"]


def write_hub_card(
    address: str,
    generator: Generator,
    step: int,
    description: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]],
    license_name: str,
) -> str:
    """Returns the text of README.md.

    Args:
        address: what `load_generator` is given: `hf://owner/name`, or a folder's name.
        generator: the generator that is published.
        step: step of training at which its weights were saved.
        description: description of the run, without what is private.
        scores: records of evaluations of this step; each becomes a table and, for the Hub, a result
            of the `model-index`.
        license_name: licence of the weights, as the Hub abbreviates it, as in apache-2.0.
    """
    name = address.rsplit("/", 1)[-1]
    data = huggingface_hub.ModelCardData(
        model_name=name,
        license=license_name,
        library_name="sagan_tf",
        pipeline_tag=_TASK,
        tags=_TAGS,
        eval_results=[result for score in scores for result in _results(score)] or None,
    )
    classes = description["class_names"] if generator.num_classes else ()
    lines = [
        *("---", data.to_yaml().rstrip(), "---", "", f"# {name}", ""),
        "A Self-Attention GAN's generator ([arXiv 1805.08318](https://arxiv.org/abs/1805.08318)) "
        "for `sagan_tf`, on TensorFlow and Keras 3.",
        *("", f"![Samples]({SAMPLES})", ""),
        *facts(generator, step, description),
        *([f"- Classes: {shortened(classes)}."] if classes else []),
        *_use(address, bool(classes)),
        *("", "## Scores", "", *(_tables(scores) or ["None recorded."])),
        *("", "## Settings of the training", ""),
        *("```json", json.dumps(description["settings"], indent=1), "```", ""),
        *("## Licence", "", f"The weights: `{license_name}`."),
    ]
    return "\n".join(lines) + "\n"


def _results(score: Mapping[str, Any]) -> list[huggingface_hub.EvalResult]:
    """A record's scores as the Hub lists them; each names its protocol."""
    dataset = score["real"]["dataset"]
    return [
        huggingface_hub.EvalResult(
            task_type=_TASK,
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split=score["real"].get("split"),
            metric_type=metric,
            metric_name=metric.replace("_", " "),
            metric_value=value,
            metric_args={
                "protocol": score["protocol"]["name"],
                "num_images": score["protocol"]["num_images"],
                "extractor": score["extractor"]["network"],
            },
        )
        for metric, value in score["scores"].items()
        if value is not None and math.isfinite(value)
    ]


def _use(address: str, has_classes: bool) -> list[str]:
    labels = ", labels=[0]" if has_classes else ""
    return [
        *("", "## Use", "", "```bash", "pip install 'sagan_tf[hub]'"),
        f"python -m sagan_tf.sample --workdir={address} --seeds=0-7 --out=grid.png",
        *("```", "", "```python", "from sagan_tf import sampling", ""),
        f'generator = sampling.load_generator("{address}")',
        f"images = list(sampling.sample(generator, seeds=[1234]{labels}))  # uint8 (H, W, C)",
        *("```", ""),
        "Seeds give the same images on every machine, up to rounding. `evaluate`, `attend`, "
        "`latent` and `export` take the same `--workdir`.",
    ]


def _tables(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table for each record, with the conditions under which its numbers are comparable."""
    lines = []
    for score in scores:
        conditions = {name: score[name] for name in ("protocol", "extractor", "real", "images")}
        lines += ["| score | value |", "|---|---|"]
        lines += [f"| {name.replace('_', ' ')} | {v} |" for name, v in score["scores"].items()]
        lines += ["", "Comparable under the same conditions:", ""]
        lines += ["```json", json.dumps(conditions, indent=1), "```", ""]
    return lines[:-1]
