"""What an export holds of a run: its generator, class names, settings and a model card."""

from typing import Any

from sagan_tf import pretrained, sampling
from sagan_tf.models import Generator
from sagan_tf.serving.exporting.model_card import write_model_card


def restore_run(
    workdir: str, name: str, hidden: frozenset[str], best: bool = False
) -> tuple[Generator, list[str], dict[str, Any], str]:
    """Restores what `saved_model.write_version` and `file_formats.write_file` take, and says so.

    Args:
        workdir: a run's directory, or what stands for it; see `pretrained.description`.
        name: name of the model.
        hidden: settings to leave out, such as paths of this machine.
        best: whether to take the best checkpoint instead of the newest.

    Returns:
        Generator, class names, the settings of its training, and the card in Markdown.

    Raises:
        ValueError: if there is no such run, or its files are damaged.
    """
    description = pretrained.description(workdir)
    generator, step = sampling.restore_generator(workdir, best=best)
    print(f"exporting: step {step} of {workdir}", flush=True)
    settings = {key: value for key, value in description["settings"].items() if key not in hidden}
    card = write_model_card(
        name, generator, step, {**description, "settings": settings}, pretrained.scores(workdir)
    )
    return generator, description["class_names"], settings, card
