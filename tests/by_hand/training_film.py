"""Makes a film of a run's sample grids, one row per class, with the step above; the last one stays.

python -m tests.by_hand.training_film runs/robohash training.webp
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from sagan_tf.output.films import save_film
from sagan_tf.output.pictures import grid_scale, image_grid
from sagan_tf.training.monitor import GRID_ROWS

FRAMES_PER_SECOND = 2
LAST_FRAMES = 5  # how often the last grid is shown


def images(path, size):
    """The images uint8 `(columns, rows, size, size, C)` of a sample grid with titles."""
    scale = grid_scale(size)
    grid = np.atleast_3d(np.asarray(Image.open(path)))[::scale, ::scale]
    padded = np.pad(grid, ((0, 1), (0, 1), (0, 0)))[-GRID_ROWS * (size + 1) :]  # below the titles
    cells = padded.reshape(GRID_ROWS, size + 1, -1, size + 1, grid.shape[2])[:, :size, :, :size]
    return cells.transpose(2, 0, 1, 3, 4)


def film(workdir, path):
    """Writes the film, .gif or .webp."""
    settings = json.loads((workdir / "config.json").read_text(encoding="utf-8"))["settings"]
    frames = []
    for grid in sorted((workdir / "samples").glob("step-*.png")):
        classes = images(grid, settings["image_size"])
        count = classes.shape[1]
        titles = ["step", str(int(grid.stem.removeprefix("step-"))), *[""] * count][:count]
        frames.append(image_grid(classes.reshape(-1, *classes.shape[2:]), count, titles))
    frames += [frames[-1]] * (LAST_FRAMES - 1)
    save_film(np.stack(frames), path, FRAMES_PER_SECOND, scale=2)


if __name__ == "__main__":
    film(Path(sys.argv[1]), Path(sys.argv[2]))
