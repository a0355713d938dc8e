"""Makes pictures of a served generator's images and of its attention.

It calls the server as any caller does, so all that is shown can be asked for by a `curl` line.
"""

import collections
import dataclasses
import io
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sagan_tf.latent import NUM_DIRECTIONS
from sagan_tf.output.films import save_film
from sagan_tf.output.pictures import TITLE_HEIGHT, image_grid, to_picture
from sagan_tf.serving.client import Client, ServingError

# Width in pixels to which smaller images are enlarged, at most.
_CELL_WIDTH = 128
# Images on the way of a film, fewer than a gateway lets through in one request, and their speed.
_FILM_FRAMES, _FILM_SPEED = 32, 20
# Class, or `None` without classes, and seed of an image, and those of two.
Point = tuple[int | None, int]
Ends = tuple[Point, Point]


@dataclasses.dataclass(frozen=True)
class Grid:
    """A grid of images: one column per class, one row per seed.

    Attributes:
        class_ids: class of each column; `(None,)` for a generator without classes.
        seeds: seed of each row.
        truncation: truncation of the latents of all images; `None` for none.
        image_size: height and width of an image; 0 as long as it is unknown.
    """

    class_ids: tuple[int | None, ...]
    seeds: tuple[int, ...]
    truncation: float | None
    image_size: int = 0

    @property
    def scale(self) -> int:
        """Factor by which images are enlarged in the picture."""
        return _scale(self.image_size)

    def images(self) -> list[tuple[int | None, int]]:
        """Returns class and seed of each image, row by row."""
        return [(class_id, seed) for seed in self.seeds for class_id in self.class_ids]

    def place(self, x: int, y: int) -> tuple[int, int, int] | None:
        """Finds image, row and column of the pixel at a point of the picture, if one is there."""
        if self.class_ids != (None,):
            y -= TITLE_HEIGHT
        cell = self.image_size * self.scale + 1  # with the line between images
        row, down = divmod(y, cell)
        column, right = divmod(x, cell)
        inside = 0 <= row < len(self.seeds) and 0 <= column < len(self.class_ids)
        if not inside or cell - 1 in (down, right):
            return None
        return row * len(self.class_ids) + column, down // self.scale, right // self.scale


class Gallery:
    """Asks a served generator for pictures.

    Args:
        client: calls the served model.
        predict_url: address of the model's `:predict` in `curl` lines.
        key_variable: environment variable from which `curl` lines take a key; `None` for no key.
    """

    def __init__(self, client: Client, predict_url: str, key_variable: str | None = None) -> None:
        self._client = client
        self._predict_url = predict_url
        self._key_variable = key_variable

    def class_choices(self) -> list[tuple[str, int]] | None:
        """Returns unique names and numbers of the classes; `None` for a generator without classes.

        Raises:
            ServingError: if the server refuses or does not answer.
        """
        try:
            names = self._client.class_names
        except ServingError as error:
            if error.status != 400:  # 400 says that there is no such signature
                raise
            return None
        counts = collections.Counter(names)
        return [
            (name if counts[name] == 1 else f"{name} ({number})", number)
            for number, name in enumerate(names)
        ]

    def has_attention(self, class_id: int | None) -> bool:
        """Returns whether the generator has attention.

        Args:
            class_id: any of its classes; `None` for a generator without classes.

        Raises:
            ServingError: if the server refuses or does not answer.
        """
        return _is_answered(lambda: self._overlays(Grid((class_id,), (0,), None), 0, 0, 0))

    def has_directions(self, class_id: int | None) -> bool:
        """Returns whether images can be moved along directions; older exports cannot.

        Args:
            class_id: any of its classes; `None` for a generator without classes.

        Raises:
            ServingError: if the server refuses or does not answer.
        """
        return _is_answered(lambda: self.moved((class_id, 0), [0.0] * NUM_DIRECTIONS))

    def sample(self, grid: Grid, titles: Sequence[str]) -> tuple[Grid, Image.Image, list[bytes]]:
        """Generates a grid.

        Args:
            grid: classes and seeds; its `image_size` is ignored.
            titles: title of each column; empty for a generator without classes.

        Returns:
            The grid with its `image_size`, its picture, and the images as PNGs, row by row.

        Raises:
            ServingError: if the server refuses or does not answer.
        """
        pngs = self._client.predict(*_request(grid))["image_bytes"]
        images = [_pixels(png) for png in pngs]
        grid = dataclasses.replace(grid, image_size=len(images[0]))
        return grid, _picture(images, grid.scale, len(grid.class_ids), titles), pngs

    def attention(self, grid: Grid, index: int, row: int, column: int) -> Image.Image:
        """Shows what a pixel of the grid's image `index` attends to, one picture for each layer."""
        overlays = sorted(self._overlays(grid, index, row, column).items())
        titles = [f"{resolution} x {resolution} map" for resolution, _ in overlays]
        return _picture([_pixels(png) for _, png in overlays], 2 * grid.scale, titles=titles)

    def interpolation(self, ends: Ends, steps: int) -> tuple[Image.Image, str]:
        """Interpolates from one class and seed to another.

        Args:
            ends: class, or `None` without classes, and seed of both ends.
            steps: number of images, at least 2.

        Returns:
            The images side by side, and the `curl` line that asks for them.
        """
        inputs = _between(ends, steps)
        images = self._interpolated(inputs)
        return _picture(images, _scale(len(images[0]))), self._curl("interpolate", inputs)

    def film(self, ends: Ends, path: Path) -> None:
        """Writes a film from one class and seed to another and back, which begins again.

        Args:
            ends: class, or `None` without classes, and seed of both ends.
            path: ends in .gif or .webp.
        """
        images = self._interpolated(_between(ends, _FILM_FRAMES))
        frames = np.stack(images + images[-2:0:-1])  # neither end stands twice
        save_film(frames, path, _FILM_SPEED, _scale(len(images[0])))

    def moved(self, start: Point, amounts: Sequence[float]) -> tuple[Image.Image, str]:
        """Moves an image along the first directions.

        Args:
            start: class, or `None` without classes, and seed.
            amounts: how far to go along each direction.

        Returns:
            The image as it is and as moved, side by side, and the `curl` line that asks for both.
        """
        class_id, seed = start
        inputs: dict[str, list[Any]] = {"seed": [seed] * 2}
        inputs["amounts"] = [[0.0] * len(amounts), list(amounts)]
        if class_id is not None:
            inputs["class_id"] = [class_id] * 2
        images = [_pixels(png) for png in self._client.predict("directions", inputs)["image_bytes"]]
        picture = _picture(images, 2 * _scale(len(images[0])), titles=("as it is", "moved"))
        return picture, self._curl("directions", inputs)

    def curl(self, grid: Grid) -> str:
        """Returns the `curl` line that asks for the same images."""
        return self._curl(*_request(grid))

    def _interpolated(self, inputs: dict[str, list[Any]]) -> list[np.ndarray]:
        return [_pixels(png) for png in self._client.predict("interpolate", inputs)["image_bytes"]]

    def _curl(self, signature: str, inputs: dict[str, list[Any]]) -> str:
        body = json.dumps({"signature_name": signature, "inputs": inputs})
        key = f'-H "Authorization: Bearer ${self._key_variable}" ' if self._key_variable else ""
        return f"curl -s {shlex.quote(self._predict_url)} \\\n  {key}-d {shlex.quote(body)}"

    def _overlays(self, grid: Grid, index: int, row: int, column: int) -> dict[int, bytes]:
        """Returns PNGs by the resolution of the attention layer."""
        class_id, seed = grid.images()[index]
        signature, inputs = _request(Grid((class_id,), (seed,), grid.truncation))
        signature = "attention" if grid.truncation is None else "attention_truncated"
        outputs = self._client.predict(signature, {**inputs, "row": [row], "col": [column]})
        return {
            int(name.split("_")[1]): pngs[0]
            for name, pngs in outputs.items()
            if name.startswith("overlay_")
        }


def _is_answered(ask: Callable[[], Any]) -> bool:
    """Returns whether the server has the signature that `ask` calls."""
    try:
        ask()
    except ServingError as error:
        if error.status != 400:  # 400 says that there is no such signature
            raise
        return False
    return True


def _between(ends: Ends, steps: int) -> dict[str, list[Any]]:
    """Returns the inputs of `interpolate`."""
    (class_id, seed), (class_id_to, seed_to) = ends
    inputs: dict[str, list[Any]] = {"seed": [seed] * steps, "seed_to": [seed_to] * steps}
    inputs["fraction"] = [step / (steps - 1) for step in range(steps)]
    if class_id is not None:
        inputs |= {"class_id": [class_id] * steps, "class_id_to": [class_id_to] * steps}
    return inputs


def _request(grid: Grid) -> tuple[str, dict[str, list[Any]]]:
    """Returns the signature and the inputs that generate a grid."""
    images = grid.images()
    inputs: dict[str, list[Any]] = {"seed": [seed for _, seed in images]}
    if grid.class_ids != (None,):
        inputs["class_id"] = [class_id for class_id, _ in images]
    if grid.truncation is None:
        return "sample", inputs
    return "serving_default", {**inputs, "truncation": [grid.truncation] * len(images)}


def _pixels(png: bytes) -> np.ndarray:
    image = np.asarray(Image.open(io.BytesIO(png)))
    return image if image.ndim == 3 else image[..., np.newaxis]


def _scale(image_size: int) -> int:
    return max(1, _CELL_WIDTH // image_size)


def _picture(
    images: Sequence[np.ndarray],
    scale: int,
    columns: int | None = None,
    titles: Sequence[str] = (),
) -> Image.Image:
    """Draws images enlarged `scale` times, in one row unless `columns` is given."""
    # Enlarged before the titles are written, so that these can be read.
    enlarged = [image.repeat(scale, axis=0).repeat(scale, axis=1) for image in images]
    return to_picture(image_grid(enlarged, columns or len(images), titles))
