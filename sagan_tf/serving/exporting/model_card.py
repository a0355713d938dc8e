"""Writes an exported model's card: its architecture, data, weights and scores, as Markdown."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sagan_tf.class_names import readable
from sagan_tf.models import Generator


def write_model_card(
    name: str,
    generator: Generator,
    step: int,
    description: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]],
) -> str:
    """Returns the card of a run's generator.

    Args:
        name: name of the model.
        generator: the generator that is exported.
        step: training step at which its weights were saved.
        description: description of the run, as `workdir.load_description` returns it.
        scores: records of the run's evaluations, each with the `step` that it evaluated; those
            of other steps are not shown.
    """
    shown = [f"- {_summary(score)}" for score in scores if score["step"] == step]
    lines = [
        f"# {name}",
        "",
        "A Self-Attention GAN's generator (arXiv 1805.08318), exported by `sagan_tf`.",
        "",
        *facts(generator, step, description),
        "",
        "## Scores",
        "",
        *(shown or ["None recorded."]),
        "",
        "## Settings of the training",
        "",
        "```json",
        json.dumps(description["settings"], indent=1),
        "```",
    ]
    return "\n".join(lines) + "\n"


def facts(generator: Generator, step: int, description: Mapping[str, Any]) -> list[str]:
    """Lines of a list: what a generator draws, what it learned from, and what it takes."""
    classes = description["class_names"]
    averaged = "the moving average of its weights" if description["ema"] else "its weights"
    conditioned = (
        f"conditioned on {len(classes)} classes" if generator.num_classes else "unconditional"
    )
    attention = ", ".join(f"{size}x{size}" for size in generator.attention_resolutions) or "none"
    return [
        f"- Images: {generator.image_size}x{generator.image_size}, {generator.channels} "
        f"channel{'s' if generator.channels > 1 else ''}, {conditioned}.",
        f"- Attention at: {attention}.",
        f"- Data: `{readable(description['dataset'])}`.",
        f"- Weights: {averaged} after step {step}.",
        f"- Latents: {generator.latent_dim} numbers, drawn from the normal by a seed.",
    ]


def _summary(score: Mapping[str, Any]) -> str:
    """Returns the part of an evaluation's record that concerns all classes together."""
    names = ("scores", "protocol", "extractor", "real", "images")
    return json.dumps({name: score[name] for name in names if name in score})
