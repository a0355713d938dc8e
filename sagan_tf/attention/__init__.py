"""What attention layers attend to: maps, measures, figures and an HTML page.

`maps` computes the attention maps of any Keras model, `points` chooses query points in an image,
`measures` summarises a layer in five numbers, `overlay` lays maps over images, `figure` puts them
into one picture, and `map_page` into one interactive HTML file.
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
