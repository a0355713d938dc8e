"""GeoTex: eight classes of drawn images that tell geometry from texture.

Four classes are geometry. Each has one exact constraint between a part at the left edge and a part
at the right edge, and nothing between the parts could transmit it: `twin` (two discs of the same
colour), `mirror` (the eight cells of one side are repeated on the other side), `limbs` (exactly
four of eight limbs), `line` (a line behind an occluder). Four classes are texture: `stripes`,
`cells`, `clouds` and `fur` look the same everywhere, and pixels more than about ten apart are
unrelated.

`drawing` makes image number i with `twin`, `mirror`, `limbs`, `line` and `textures`, which draw on
a `canvas`. `checks` reads images and returns an `outcome`. `readability` and `agreement` summarise
many outcomes, `closeness` measures a constraint that holds in part, and `builder` makes a
TensorFlow data set.
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
