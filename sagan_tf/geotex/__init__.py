"""GeoTex: eight classes of drawn images that tell geometry from texture.

Four classes are geometry. Each has one exact constraint between a part at the left edge and one at
the right edge, with nothing between that could carry it: `twin` (two discs of one colour), `mirror`
(eight cells come back on the other side), `limbs` (exactly four of eight), `line` (one line behind
an occluder). Four are texture: `stripes`, `cells`, `clouds`, `fur`, alike everywhere and unrelated
beyond some ten pixels.

`drawing` makes image number i of what `twin`, `mirror`, `limbs`, `line` and `textures` draw on
`canvas`; `checks` reads what images show, as an `outcome`. `readability` and `agreement` sum many
outcomes up, and `builder` makes a TensorFlow data set of it.
"""

from sagan_tf.geotex.checks import check, locate_parts
from sagan_tf.geotex.drawing import (
    CLASS_NAMES,
    GEOMETRIES,
    SPLITS,
    Example,
    draw,
    draw_class,
    exchange_halves,
)
from sagan_tf.geotex.outcome import Outcome
from sagan_tf.geotex.readability import class_scores

__all__ = [
    "CLASS_NAMES",
    "GEOMETRIES",
    "SPLITS",
    "Example",
    "Outcome",
    "check",
    "class_scores",
    "draw",
    "draw_class",
    "exchange_halves",
    "locate_parts",
]
