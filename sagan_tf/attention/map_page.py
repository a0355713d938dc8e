"""All attention maps of some images in one interactive HTML file."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sagan_tf.attention.overlay import STRENGTH
from sagan_tf.output.files import write_text
from sagan_tf.output.pictures import png_address, to_picture

_TEMPLATE = Path(__file__).with_name("map_page.html")
# Largest number of query positions per side; of a larger map, every second, third, ... is kept.
_MOST_PLACES = 32
# The page's text for each number of `attention_measures`.
_MEASURES = {
    "distance": "Mean distance, relative to uniform attention",
    "entropy": "Entropy, relative to uniform attention",
    "effective_keys": "Effective number of keys",
    "far_mass": "Attention farther away than a quarter of the map",
    "usage": "Norm of what attention adds, relative to the input",
}


def write_page(
    path: Path,
    title: str,
    images: np.ndarray,
    captions: Sequence[str],
    scores: Mapping[str, np.ndarray],
    measures: Mapping[str, Mapping[str, float]],
) -> None:
    """Writes a page that shows the attention map of the position under the reader's pointer.

    The file needs no other file and no network; it is written whole or not at all. Maps are stored
    in 256 levels, relative to their own largest value.

    Args:
        path: path of the file.
        title: heading of the page.
        images: uint8 `(N, S, S, 1 or 3)`; the page can show square images only.
        captions: one per image.
        scores: `(N, H, W, Hk, Wk)` by the layer's path, as `attention_maps` returns them.
        measures: numbers by the layer's path, as `attention_measures` returns them.
    """
    data = {
        "title": title,
        "strength": STRENGTH,
        "images": [
            {"caption": caption, "png": png_address(to_picture(image))}
            for image, caption in zip(images, captions, strict=True)
        ],
        "layers": [
            {"name": name, "measures": _lines(measures[name]), **_packed(of_layer)}
            for name, of_layer in scores.items()
        ],
    }
    # Names come from users' folders, and none may end the script element that holds them.
    text = json.dumps(data).replace("<", "\\u003c")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, _TEMPLATE.read_text(encoding="utf-8").replace("DATA", text))


def _packed(scores: np.ndarray) -> dict[str, Any]:
    """Sizes of a layer's maps, and each image's maps in base64, ordered by query, then by key."""
    step = -(-max(scores.shape[1:3]) // _MOST_PLACES)
    scores = scores[:, step // 2 :: step, step // 2 :: step]
    levels = np.rint(255 * scores / scores.max(axis=(3, 4), keepdims=True)).astype(np.uint8)
    return {
        "queries": scores.shape[1:3],
        "keys": scores.shape[3:],
        "maps": [base64.b64encode(of_image.tobytes()).decode("ascii") for of_image in levels],
    }


def _lines(measures: Mapping[str, float]) -> list[tuple[str, str]]:
    return [(text, f"{measures[name]:.3g}") for name, text in _MEASURES.items()]
