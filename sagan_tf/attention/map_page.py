"""All maps of some images as one interactive HTML file."""

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
# Places per side to look from: of larger maps every second, fourth, ... place is left in.
_MOST_PLACES = 32
# How the page says what `attention_measures` gives.
_MEASURES = {
    "distance": "Mean distance, relative to uniform attention",
    "entropy": "Entropy, relative to uniform attention",
    "effective_keys": "Keys in effect",
    "far_mass": "Attention farther than a quarter of the map",
    "usage": "Length of what is added, relative to the input",
}


def write_page(
    path: Path,
    title: str,
    images: np.ndarray,
    captions: Sequence[str],
    scores: Mapping[str, np.ndarray],
    measures: Mapping[str, Mapping[str, float]],
) -> None:
    """Writes a page where a reader points at a place and sees what it attends to.

    The file asks for no other file and no network; it is written whole or not at all. Maps are
    kept in 256 levels of their own greatest place.

    Args:
        path: of the file.
        title: its heading.
        images: uint8 `(N, S, S, 1 or 3)`; the page shows squares.
        captions: one per image.
        scores: by the layer's path `(N, H, W, Hk, Wk)`, as `attention_maps` gives them.
        measures: by the layer's path, as `attention_measures` gives them.
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
    # Names come from users' folders: none may end the script that holds them.
    text = json.dumps(data).replace("<", "\\u003c")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, _TEMPLATE.read_text(encoding="utf-8").replace("DATA", text))


def _packed(scores: np.ndarray) -> dict[str, Any]:
    """Sizes and, of each image, the maps of a layer as base64: query by query, key by key."""
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
