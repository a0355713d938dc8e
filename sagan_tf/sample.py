"""Generates images with the generator of a trained run.

python -m sagan_tf.sample --workdir=runs/digits --labels=0-9 --seeds=0-7 --out=grid.png

The grid has one column per label and one row per seed. A seed gives the same latent vector for
every label.
"""

import dataclasses
import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sagan_tf import command
from sagan_tf.class_names import class_labels, numbers
from sagan_tf.fields import device_setting, setting, workdir_setting

if TYPE_CHECKING:
    from sagan_tf.machine.team import Team


@dataclasses.dataclass(frozen=True)
class SampleSettings:
    """Command-line flags of `python -m sagan_tf.sample`."""

    workdir: str = workdir_setting()
    best: bool = setting(
        False, "Use the best checkpoint (`--eval_every` of training) instead of the newest."
    )
    labels: str | None = setting(
        None,
        "Classes by number, range or name, as in 0-4,7,cat; if all names are numbers, numbers are "
        "names. By default the first ten classes.",
    )
    seeds: str = setting("0-7", "Seeds by number or range, as in 0-4,7.")
    truncation: float = setting(
        math.inf,
        "Limit of the normal distribution of latents; smaller limits give less varied images.",
    )
    out: str = setting("samples.png", "Path of the grid, a PNG.")
    singles: str | None = setting(
        None, "Directory to which to write each image of a grid as a PNG, too."
    )
    interpolate: int | None = setting(
        None,
        "Instead of a grid, rows with this many images from each seed and label to the next.",
    )
    scale: int | None = setting(
        None,
        "Factor by which to enlarge images in the grid; by default small images are enlarged.",
        at_least=1,
    )
    device: str = device_setting()


def main(settings: SampleSettings) -> None:
    """Writes the grid or the interpolation, and single PNGs if requested."""
    if settings.singles is not None and settings.interpolate is not None:
        raise ValueError("`--singles` is for grids. Leave it out, or `--interpolate`.")
    seeds = numbers(settings.seeds, "seeds")
    from sagan_tf.machine.devices import in_words, make_team
    from sagan_tf.machine.team import code_facts

    team = make_team(settings.device)
    with team.complete():
        team.agree(code_facts() | dataclasses.asdict(settings))
        if team.is_chief:
            print(f"device: {in_words()}")
        _sample(settings, seeds, team)


def _sample(settings: SampleSettings, seeds: list[int], team: "Team") -> None:
    from sagan_tf import pretrained, sampling
    from sagan_tf.output import pictures

    class_names = pretrained.description(settings.workdir)["class_names"]
    generator = sampling.load_generator(settings.workdir, settings.best)
    labels = class_labels(settings.labels, "labels", class_names, generator.num_classes)
    if settings.interpolate is not None:
        columns, titles = settings.interpolate, []
        rows = _interpolations(generator, seeds, labels, columns, settings.truncation)
        images = [image for row in rows for image in row]
    else:
        columns = len(labels)
        titles = [class_names[label] for label in labels if label is not None]
        requests = team.shard([(seed, label) for seed in seeds for label in labels])
        wanted = None if labels == [None] else [label for _, label in requests if label is not None]
        images = list(
            sampling.sample(generator, [seed for seed, _ in requests], wanted, settings.truncation)
        )
        if settings.singles is not None:
            for (seed, label), image in zip(requests, images, strict=True):
                name = _file_name(seed, label, class_names)
                pictures.save_png(image, Path(settings.singles) / name)
        images = _images_of_all(images, team, Path(settings.out))
        if settings.singles is not None and team.is_chief:
            print(f"{len(images)} images: {settings.singles}")
    if not team.is_chief:
        return
    grid = pictures.image_grid(images, columns, titles)
    scale = settings.scale or pictures.grid_scale(generator.image_size)
    pictures.save_png(grid, settings.out, scale)
    print(f"grid: {settings.out}")


def _file_name(seed: int, label: int | None, class_names: list[str]) -> str:
    """The file name of an image: its label, and its class name if that looks like a label."""
    if label is None:
        return f"seed-{seed}.png"
    name = class_names[label]
    if not name.isdecimal() or name == str(label):
        return f"label-{label}-seed-{seed}.png"
    return f"label-{label}-class-{name}-seed-{seed}.png"


def _images_of_all(images: list[np.ndarray], team: "Team", out: Path) -> list[np.ndarray]:
    """Gathers all workers' images at the chief, through files beside the grid, which are shared."""
    if team.size == 1:
        return images
    out.parent.mkdir(parents=True, exist_ok=True)
    parts = [out.with_name(f".{out.name}-{index}.npy") for index in range(team.size)]
    np.save(parts[team.index], np.array(images, np.uint8))
    team.barrier()
    if not team.is_chief:
        return []
    images = [image for part in parts for image in np.load(part)]
    for part in parts:
        part.unlink()
    return images


def _interpolations(
    generator: Any, seeds: list[int], labels: list[int | None], steps: int, truncation: float
) -> list[np.ndarray]:
    """One row from each (seed, label) to the next; the shorter list is repeated."""
    from sagan_tf import sampling

    count = max(len(seeds), len(labels))
    if count < 2:
        raise ValueError("`--interpolate` expects at least two seeds or two labels.")
    ends = [(seeds[i % len(seeds)], labels[i % len(labels)]) for i in range(count)]
    return [
        sampling.interpolate(
            generator,
            (first[0], last[0]),
            None if first[1] is None or last[1] is None else (first[1], last[1]),
            steps,
            truncation,
        )
        for first, last in itertools.pairwise(ends)
    ]


if __name__ == "__main__":
    command.run(main, SampleSettings)
