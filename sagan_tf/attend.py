"""Shows what the attention layers of a trained run attend to.

python -m sagan_tf.attend --workdir=runs/digits --labels=7 --seeds=0 --points='12,8;3,10'
python -m sagan_tf.attend --workdir=runs/digits --images=pictures

Writes a figure per attention layer, with one row per image, and a page to explore with the mouse.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from sagan_tf import command
from sagan_tf.class_names import class_labels, numbers, readable
from sagan_tf.fields import device_setting, setting, workdir_setting

if TYPE_CHECKING:
    import keras

# A page with more images would be slow to open.
_MOST_IMAGES = 16


@dataclasses.dataclass(frozen=True)
class AttendSettings:
    """Command-line flags of `python -m sagan_tf.attend`."""

    workdir: str = workdir_setting()
    best: bool = setting(
        False, "Use the best checkpoint (`--eval_every` of training) instead of the newest."
    )
    labels: str | None = setting(
        None,
        "Classes by number, range or name, as in 0-4,7,cat; if all names are numbers, numbers are "
        "names. By default the first ten classes.",
    )
    seeds: str = setting(
        "0",
        "Seeds by number or range, as in 0-4,7; seeds times classes may be "
        f"{_MOST_IMAGES} images at most.",
    )
    points: str | None = setting(
        None,
        "Query points: row,column in pixels from the top left, as in '12,8;3,10' (in quotes); by "
        "default five points of each image, chosen by its edges.",
    )
    images: str | None = setting(
        None,
        "Image file or folder of images to pass to the discriminator, instead of generated "
        f"images; of a folder the first {_MOST_IMAGES} are used.",
    )
    background: str | None = setting(
        None,
        "Colour behind transparent images of `--images`, by name or as #rrggbb; by default the "
        "run's, else white.",
    )
    out: str = setting("attention", "Directory for the figures (PNG) and the page (HTML).")
    device: str = device_setting()


@dataclasses.dataclass(frozen=True)
class _Shown:
    """Images to show, uint8 `(N, H, W, C)`, and the networks to show, with their inputs."""

    images: np.ndarray
    captions: list[str]
    networks: list[tuple["keras.Model", tuple[Any, ...]]]


def main(settings: AttendSettings) -> None:
    """Writes the figures and the page, and prints the layers' measures."""
    points = None if settings.points is None else _points(settings.points)
    seeds = numbers(settings.seeds, "seeds")
    if settings.images is not None and settings.labels is not None:
        raise ValueError("`--labels` is for generated images. Leave it or `--images` out.")
    if settings.images is None and settings.background is not None:
        raise ValueError("`--background` is for `--images`. Leave it out.")
    from sagan_tf import pretrained
    from sagan_tf.machine import devices

    description = pretrained.description(settings.workdir)
    devices.use_device(settings.device)
    print(f"device: {devices.in_words()}")
    if settings.images is None:
        shown = _generated(settings, description, seeds)
    else:
        shown = _given(settings, settings.images, description)
    _show(settings, shown, points)


def _show(settings: AttendSettings, shown: _Shown, points: np.ndarray | None) -> None:
    from sagan_tf import attention
    from sagan_tf.attention.figure import attention_figure
    from sagan_tf.attention.map_page import write_page
    from sagan_tf.output.pictures import save_png

    size = shown.images.shape[1:3]
    if points is None:
        points = np.stack([attention.automatic_points(image) for image in shown.images])
    scores: dict[str, np.ndarray] = {}
    measures: dict[str, dict[str, float]] = {}
    for network, inputs in shown.networks:
        scores |= attention.attention_maps(network, inputs)
        measures |= attention.attention_measures(network, inputs)
    for name, of_layer in scores.items():
        maps = attention.maps_at(of_layer, points, size)
        path = Path(settings.out) / f"{name.replace('/', '-')}.png"
        places = np.broadcast_to(points, (len(shown.images), *points.shape[-2:]))
        save_png(attention_figure(shown.images, places, maps), path)
        print(f"figure: {path}")
    page = Path(settings.out) / "attention.html"
    title = f"What attention looks at in {Path(settings.workdir).name}"
    write_page(page, title, shown.images, shown.captions, scores, measures)
    print(f"page: {page}")
    for name, found in measures.items():
        values = ", ".join(f"{measure} {value:.3g}" for measure, value in found.items())
        print(f"{name}: {values}")


def _generated(
    settings: AttendSettings, description: Mapping[str, Any], seeds: list[int]
) -> _Shown:
    """Generated images, to be shown with the attention of the generator and the discriminator."""
    from sagan_tf import sampling

    generator = sampling.load_generator(settings.workdir, settings.best)
    class_names = description["class_names"]
    labels = class_labels(settings.labels, "labels", class_names, generator.num_classes)
    requests = [(seed, label) for seed in seeds for label in labels]
    if len(requests) > _MOST_IMAGES:
        raise ValueError(
            f"`--labels` and `--seeds` may name {_MOST_IMAGES} images at most. Received: "
            f"{len(requests)}"
        )
    latents = sampling.latents_from_seeds([seed for seed, _ in requests], generator.latent_dim)
    classes = None if labels == [None] else np.array([label for _, label in requests], np.int32)
    images = sampling.to_uint8(generator(latents, classes))
    captions = [
        f"seed {seed}" if label is None else f"{class_names[label]}, seed {seed}"
        for seed, label in requests
    ]
    seen = _discriminator(settings, description, images, classes)
    return _Shown(images, captions, [(generator, (latents, classes)), seen])


def _given(settings: AttendSettings, place: str, description: Mapping[str, Any]) -> _Shown:
    """Images from files, to be shown with the attention of the discriminator."""
    from sagan_tf.data.decode import decode_square, parse_background
    from sagan_tf.data.inspection import warn_of_transparency

    run = description["settings"]
    background = parse_background(settings.background or run.get("background", "white"))
    files = _image_files(place)
    folder = Path(place).expanduser()
    network = description["discriminator"]
    squares: dict[str, np.ndarray] = {}
    unreadable = []
    for file in files:
        try:
            squares[file] = decode_square(
                (folder / file).read_bytes(), network["image_size"], network["channels"], background
            )
        except Exception as error:  # Pillow raises a dozen different exceptions for damaged files
            unreadable.append(f"{readable(str(folder / file))} cannot be read as an image: {error}")
        if len(squares) == _MOST_IMAGES:
            break
    if not squares:
        raise ValueError("; ".join(unreadable[:3]))
    for complaint in unreadable:
        logging.warning("%s", complaint)
    if files[-1] not in squares and len(squares) == _MOST_IMAGES:
        logging.warning("Of %d images, the first %d are shown.", len(files), _MOST_IMAGES)
    shown = list(squares)
    warn_of_transparency(lambda i: (folder / shown[i]).read_bytes(), len(shown), background)
    # The label is used after the last attention layer only, so any label will do.
    labels = None if network["num_classes"] is None else np.zeros(len(shown), np.int32)
    images = np.stack(list(squares.values()))
    seen = _discriminator(settings, description, images, labels)
    return _Shown(images, [readable(file or folder.name) for file in shown], [seen])


def _image_files(images: str) -> list[str]:
    """The paths of the image files in `--images`, relative to it; [""] for a single file."""
    from sagan_tf.data.folder import unused_notes
    from sagan_tf.data.walk import walk

    path = Path(images).expanduser()
    if not path.is_dir():
        if path.exists() and not path.is_file():  # reading a pipe would block forever
            raise ValueError(f"`--images` expects a file or a folder. Received: {readable(images)}")
        return [""]
    found = walk(str(path))
    notes = unused_notes(found, readable(images))
    if not found.images:
        raise ValueError(
            "`--images` expects an image file, or a folder of them that Pillow reads. Received: "
            f"{readable(images)}, with none. {' '.join(notes)}".rstrip()
        )
    for note in notes:
        logging.warning("%s", note)
    return found.images


def _discriminator(
    settings: AttendSettings,
    description: Mapping[str, Any],
    images: np.ndarray,
    labels: np.ndarray | None,
) -> tuple["keras.Model", tuple[Any, ...]]:
    """The run's discriminator, and the arguments of its call for images and labels."""
    from sagan_tf import pretrained
    from sagan_tf.models import Discriminator
    from sagan_tf.sampling import from_uint8

    discriminator = Discriminator.from_config(description["discriminator"])
    discriminator.build()
    pretrained.restore(settings.workdir, discriminator, settings.best)
    return discriminator, (from_uint8(images), labels)


def _points(text: str) -> np.ndarray:
    """Parses points such as "12,8;3,10" to integers `(P, 2)`."""
    try:
        points = [tuple(int(number) for number in item.split(",")) for item in text.split(";")]
        if any(len(point) != 2 for point in points):
            raise ValueError
    except ValueError:
        raise ValueError(
            "`--points` expects row,column of pixels, with ; between points and the whole in "
            f"quotes, as in --points='12,8;3,10'. Received: {text!r}"
        ) from None
    return np.array(points)


if __name__ == "__main__":
    command.run(main, AttendSettings)
