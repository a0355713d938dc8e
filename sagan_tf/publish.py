"""Writes a run as a folder for the Hugging Face Hub, and uploads it.

python -m sagan_tf.publish --workdir=runs/digits --out=published
python -m sagan_tf.publish --workdir=runs/digits --out=published --repo=owner/digits

Every command that reads a run takes the folder as `--workdir`, and the upload as
`--workdir=hf://owner/digits`.
"""

import dataclasses
import json
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagan_tf import command
from sagan_tf.config import FREE_SETTINGS
from sagan_tf.extras import extra
from sagan_tf.fields import setting, workdir_setting

if TYPE_CHECKING:
    from sagan_tf.models import Generator

# The sample grid: one column per class, at most so many, and one row per seed.
_COLUMNS, _ROWS = 10, 8


@dataclasses.dataclass(frozen=True)
class PublishSettings:
    """Command-line flags of `python -m sagan_tf.publish`."""

    workdir: str = workdir_setting()
    best: bool = setting(
        False, "Publish the best checkpoint (`--eval_every` of training) instead of the newest."
    )
    out: str = setting("published", "Folder to write; it must not exist yet.")
    repo: str | None = setting(
        None,
        "Repository on the Hugging Face Hub, as owner/name, to which to upload the folder; it is "
        "made if it does not exist.",
    )
    private: bool = setting(False, "Make a new repository private.")
    license: str = setting(
        "other",
        "Licence of the weights, as the Hub abbreviates it, such as cc-by-4.0. Look at what the "
        "licence of the pictures allows.",
    )


def main(settings: PublishSettings) -> None:
    """Writes the folder, whole or not at all, and uploads it if `--repo` is given."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up, as Ctrl-C does
    with extra("hub"):
        import safetensors.numpy  # noqa: F401 - before the work, not after

        from sagan_tf.serving.exporting import hub_card  # noqa: F401
    out = Path(settings.out)
    if out.exists():
        raise ValueError(f"`--out` {out} is there already. Choose another, or move it away.")
    if settings.private and settings.repo is None:
        raise ValueError("`--private` is for `--repo`. Leave it out, or name a repository.")
    from sagan_tf.output.files import explained
    from sagan_tf.pretrained import hub

    if settings.repo is not None:
        hub.check_target(settings.repo)
    with explained(out.parent, "out", "again."):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as unfinished:
            folder = Path(unfinished) / out.name
            folder.mkdir()
            _write(folder, settings)
            folder.rename(out)
    print(f"published: {out}")
    if settings.repo is not None:
        print(f"uploaded: {hub.push(out, settings.repo, settings.private)}")
        print(f"to load it: --workdir={hub.PREFIX}{settings.repo}")


def _write(folder: Path, settings: PublishSettings) -> None:
    """Writes weights, description, scores, samples and the card into an empty folder."""
    from sagan_tf import pretrained, sampling
    from sagan_tf.machine import devices
    from sagan_tf.models import Discriminator
    from sagan_tf.pretrained import folder as published
    from sagan_tf.pretrained import hub
    from sagan_tf.run.workdir import SCORES
    from sagan_tf.serving.exporting.hub_card import write_hub_card

    devices.use_device("cpu")
    run = pretrained.description(settings.workdir)
    generator, step = sampling.restore_generator(settings.workdir, best=settings.best)
    discriminator = Discriminator.from_config(run["discriminator"])
    discriminator.build()
    pretrained.restore(settings.workdir, discriminator, settings.best, step)
    print(f"publishing: step {step} of {settings.workdir}", flush=True)
    description = published.publishable(run, FREE_SETTINGS)
    published.write(folder, description, (generator, discriminator), step)
    scores = [_public(score) for score in pretrained.scores(settings.workdir)]
    scores = [score for score in scores if score["step"] == step]
    if scores:
        lines = "".join(f"{json.dumps(score)}\n" for score in scores)
        (folder / SCORES).write_text(lines, encoding="utf-8")
    _save_samples(folder, generator, description["class_names"])
    address = folder.name if settings.repo is None else f"{hub.PREFIX}{settings.repo}"
    card = write_hub_card(address, generator, step, description, scores, settings.license)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _public(score: dict[str, Any]) -> dict[str, Any]:
    """An evaluation's record without the path of its real images."""
    from sagan_tf.pretrained.folder import without_path

    real = score["real"]
    if "dataset" in real:
        real = {**real, "dataset": without_path(real["dataset"])}
    return {**score, "real": real}


def _save_samples(folder: Path, generator: "Generator", class_names: list[str]) -> None:
    from sagan_tf import sampling
    from sagan_tf.output import pictures
    from sagan_tf.serving.exporting.hub_card import SAMPLES

    if generator.num_classes is None:
        columns, titles = _COLUMNS, []
        seeds, labels = list(range(_ROWS * _COLUMNS)), None
    else:
        columns = min(_COLUMNS, generator.num_classes)
        titles = class_names[:columns]
        seeds = [seed for seed in range(_ROWS) for _ in range(columns)]
        labels = list(range(columns)) * _ROWS
    images = list(sampling.sample(generator, seeds, labels))
    grid = pictures.image_grid(images, columns, titles)
    pictures.save_png(grid, folder / SAMPLES, pictures.grid_scale(generator.image_size))


if __name__ == "__main__":
    command.run(main, PublishSettings)
