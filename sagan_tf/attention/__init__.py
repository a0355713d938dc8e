"""What attention layers look at: maps, measures of them, figures and an HTML page.

`maps` takes them out of any Keras model, `points` chooses where to look from, `measures` sums a
layer up in five numbers, `overlay` lays maps over images, `figure` puts them into one picture, and
`map_page` into one interactive file.
"""

from sagan_tf.attention.maps import attention_layers, attention_maps, maps_at
from sagan_tf.attention.measures import attention_measures, partner_lift, score_measures
from sagan_tf.attention.points import automatic_points

__all__ = [
    "attention_layers",
    "attention_maps",
    "attention_measures",
    "automatic_points",
    "maps_at",
    "partner_lift",
    "score_measures",
]
