"""Finds directions in a generator's latent space, films walks through it, and redraws pictures.

python -m sagan_tf.latent --workdir=runs/digits --labels=7 --seeds=0-2 --directions=8
python -m sagan_tf.latent --workdir=runs/digits --labels=7 --class_directions=4
python -m sagan_tf.latent --workdir=runs/digits --labels=0-9 --seeds=0 --film=walk.webp
python -m sagan_tf.latent --workdir=runs/digits --project=seven.png

The first two write sheets: each row moves along one direction, what changes images most first.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sagan_tf import command
from sagan_tf.class_names import class_labels, numbers, readable
from sagan_tf.fields import check_uses, device_setting, setting, workdir_setting

# How far to go along directions of latents and of class weights: one class is 1.4 from another.
_REACH, _CLASS_REACH = 4.0, 1.0


@dataclasses.dataclass(frozen=True)
class LatentSettings:
    """What `python -m sagan_tf.latent` can be told."""

    workdir: str = workdir_setting()
    best: bool = setting(False, "The best checkpoint (`--eval_every` of training), not the newest.")
    directions: int | None = setting(None, "Writes a sheet of so many directions.", at_least=1)
    class_directions: int | None = setting(
        None, "The same of the classes' weights: mixes of classes that differ most.", at_least=1
    )
    film: str | None = setting(
        None, "Writes a film: a file .gif or .webp, which never ends, or .mp4."
    )
    project: str | None = setting(
        None,
        "Finds the latents that draw this picture best, which are written beside --out as .npz.",
    )
    labels: str | None = setting(
        None,
        "Classes by number, range or name, as in 0-4,7,cat; numbers are names where all names are "
        "numbers. Without it the first ten.",
        only_with="directions class_directions film",
    )
    seeds: str = setting(
        "0", "Seeds by number or range, as in 0-4,7.", only_with="directions class_directions film"
    )
    steps: int = setting(
        5,
        "Images along a direction for each seed and class.",
        at_least=2,
        only_with="directions class_directions",
    )
    reach: float | None = setting(
        None,
        "How far to go along a direction, to either side; by default 4, along class directions 1.",
        above=0.0,
        only_with="directions class_directions film",
    )
    along: int | None = setting(
        None,
        "The film swings along this direction, counted from 1, instead of leading through all "
        "seeds and classes.",
        at_least=1,
        only_with="film",
    )
    frames: int = setting(96, "Frames of the film.", at_least=2, only_with="film")
    frames_per_second: int = setting(
        25, "Speed of the film.", also="fps", at_least=1, below=51, only_with="film"
    )
    attention: str | None = setting(
        None,
        "Shows beside the film what this point attends to: row,column of a pixel.",
        only_with="film",
    )
    background: str | None = setting(
        None,
        "Colour behind what is transparent in the picture, by name or as #rrggbb; without it the "
        "run's, else white.",
        only_with="project",
    )
    scale: int | None = setting(
        None,
        "Width of an image's pixel; without it small images are enlarged.",
        at_least=1,
        only_with="directions class_directions film",
    )
    out: str = setting("latent.png", "The PNG of the sheet, or of the picture and what was found.")
    device: str = device_setting()


def main(settings: LatentSettings) -> None:
    """Writes a sheet of directions, a film, or what draws a picture."""
    use = _use(settings)
    seeds = numbers(settings.seeds, "seeds")
    point = None if settings.attention is None else _point(settings.attention)
    if settings.film is not None:
        from sagan_tf.output.films import check_film

        check_film(settings.film)
    from sagan_tf import pretrained, sampling
    from sagan_tf.machine import devices

    description = pretrained.description(settings.workdir)
    devices.use_device(settings.device)
    print(f"device: {devices.in_words()}")
    generator = sampling.load_generator(settings.workdir, settings.best)
    if use == "project":
        _project(settings, generator, description)
        return
    labels = class_labels(
        settings.labels, "labels", description["class_names"], generator.num_classes
    )
    if use == "film":
        _film(settings, generator, seeds, labels, point)
    else:
        _sheet(settings, generator, [(seed, label) for seed in seeds for label in labels])


def _use(settings: LatentSettings) -> str:
    """Which of these things to do."""
    known = ("directions", "class_directions", "film", "project")
    uses = [name for name in known if getattr(settings, name) is not None]
    if len(uses) != 1:
        raise ValueError(
            "Give one of `--directions`, `--class_directions`, `--film` and `--project`. Received: "
            f"{' and '.join(f'`--{use}`' for use in uses) or 'none of them'}"
        )
    check_uses(settings)
    if Path(settings.out).suffix.lower() != ".png":  # beside which stands a file .npz
        raise ValueError(f"`--out` expects a file .png. Received: {settings.out!r}")
    return uses[0]


def _sheet(settings: LatentSettings, generator: Any, requests: list[tuple[int, Any]]) -> None:
    """One row per direction; in it each seed and class, moved from one side to the other."""
    from sagan_tf import sampling
    from sagan_tf.latent.drawing import draw
    from sagan_tf.output import pictures

    found = _padded_directions(settings, generator)
    reach = settings.reach or (_CLASS_REACH if settings.directions is None else _REACH)
    offsets = np.linspace(-reach, reach, settings.steps)
    seeds, labels = zip(*requests, strict=True)
    latents = sampling.latents_from_seeds(seeds, generator.latent_dim)
    weights = np.equal.outer(labels, range(generator.num_classes or 0))
    starts = np.hstack([latents, weights.astype(np.float32)])
    # (directions, requests, steps, latent_dim + num_classes)
    moved = starts[:, None] + offsets[:, None] * found[:, None, None]
    moved = moved.reshape(-1, starts.shape[1]).astype(np.float32)
    latents, weights = np.split(moved, [generator.latent_dim], axis=1)
    images = draw(generator, latents, None if generator.num_classes is None else weights)
    titles = [f"{offset:+.2g}" if offset else "0" for offset in offsets] * len(requests)
    grid = pictures.image_grid(list(images), len(titles), titles)
    scale = settings.scale or pictures.grid_scale(generator.image_size)
    pictures.save_png(grid, settings.out, scale)
    print(f"sheet: {settings.out}")


def _padded_directions(settings: LatentSettings, generator: Any) -> np.ndarray:
    """The rows' directions, `(K, latent_dim + num_classes)`: of latents, or of class weights."""
    from sagan_tf.latent.directions import class_directions, directions

    if settings.directions is not None:
        _check_direction(settings.directions, "directions", generator.latent_dim)
        found = directions(generator, settings.directions)
        return np.pad(found, ((0, 0), (0, generator.num_classes or 0)))
    assert settings.class_directions is not None  # or `_use` had said otherwise
    if generator.num_classes is None:
        raise ValueError("`--class_directions` is for generators with classes. Leave it out.")
    _check_direction(settings.class_directions, "class_directions", generator.num_classes - 1)
    found = class_directions(generator, settings.class_directions)
    return np.pad(found, ((0, 0), (generator.latent_dim, 0)))


def _film(
    settings: LatentSettings,
    generator: Any,
    seeds: list[int],
    labels: list[int | None],
    point: tuple[int, int] | None,
) -> None:
    """A closed walk through seeds and classes, or along a direction; beside it, attention."""
    from sagan_tf import sampling
    from sagan_tf.latent import drawing, walks
    from sagan_tf.latent.directions import directions
    from sagan_tf.output.films import save_film
    from sagan_tf.output.pictures import grid_scale

    assert settings.film is not None  # or `_use` had said otherwise
    latents: np.ndarray
    classes: np.ndarray | None = None
    if settings.along is None:
        count = max(len(seeds), len(labels))
        if not 1 < count <= settings.frames:
            raise ValueError(
                "`--film` leads through at least two seeds or classes, and at most `--frames`. "
                f"Received: {count}, frames={settings.frames}. Name two or more in `--seeds` or "
                "`--labels`, or swing around one with `--along`."
            )
        stops = [(seeds[i % len(seeds)], labels[i % len(labels)]) for i in range(count)]
        latents, classes = walks.through(generator, stops, settings.frames)
    else:
        if len(seeds) > 1 or (len(labels) > 1 and settings.labels is not None):
            raise ValueError(
                "`--along` swings around one seed and class. Received: "
                f"{len(seeds)} seeds, {len(labels)} classes. Leave the others out."
            )
        _check_direction(settings.along, "along", generator.latent_dim)
        (start,) = sampling.latents_from_seeds(seeds[:1], generator.latent_dim).numpy()
        direction = directions(generator, settings.along)[-1]
        latents = walks.swing(start, direction, settings.reach or _REACH, settings.frames)
        if labels[0] is not None:
            classes = np.full(settings.frames, labels[0])
    if point is None:
        frames = drawing.draw(generator, latents, classes)
        scale = settings.scale or grid_scale(generator.image_size, 128)
    else:
        frames = drawing.draw_attention(generator, latents, classes, point)
        scale = settings.scale or 1
    save_film(frames, settings.film, settings.frames_per_second, scale)
    print(f"film: {settings.film}")


def _check_direction(number: int, flag: str, most: int) -> None:
    if number > most:
        raise ValueError(
            f"`--{flag}` must be in [1, {most}]: the generator has no more directions. "
            f"Received: {number}"
        )


def _project(settings: LatentSettings, generator: Any, description: Mapping[str, Any]) -> None:
    """The picture and what draws it best, side by side; the latents as a file of their own."""
    from sagan_tf.latent.projection import NUM_SAMPLES, project
    from sagan_tf.output import pictures
    from sagan_tf.output.files import replacing

    assert settings.project is not None  # or `_use` had said otherwise
    picture = _picture(settings, settings.project, generator, description)
    found = project(generator, picture)
    print(
        f"distance: {found.distance:.2f} levels of 255 (root mean square)\n"
        f"for comparison: {found.sample_distance:.2f}, the nearest of {NUM_SAMPLES:,} random "
        f"samples; {found.flat_distance:.2f}, one colour everywhere"
    )
    grid = pictures.image_grid([picture, found.image], 2)
    pictures.save_png(grid, settings.out, pictures.grid_scale(generator.image_size, 128))
    print(f"picture and what was found: {settings.out}")
    arrays: dict[str, Any] = {"latents": found.latents, "class_weights": found.class_weights}
    path = Path(settings.out).with_suffix(".npz")
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{name: value for name, value in arrays.items() if value is not None})
    print(f"latents: {path}")


def _picture(
    settings: LatentSettings, place: str, generator: Any, description: Mapping[str, Any]
) -> np.ndarray:
    """A file's largest centre square at the generator's size."""
    from sagan_tf.data.decode import decode_square, parse_background

    run = description["settings"]
    background = parse_background(settings.background or run.get("background", "white"))
    path = Path(place).expanduser()
    try:
        return decode_square(
            path.read_bytes(), generator.image_size, generator.channels, background
        )
    except Exception as error:  # Pillow raises all kinds for a damaged file
        raise ValueError(f"`--project` {readable(place)} cannot be read: {error}") from None


def _point(text: str) -> tuple[int, int]:
    """Reads "12,8"."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(
            "`--attention` expects row,column of a pixel, as in --attention=12,8. "
            f"Received: {text!r}"
        )
    return int(parts[0]), int(parts[1])


if __name__ == "__main__":
    command.run(main, LatentSettings)
