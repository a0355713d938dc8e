"""Finds layers of a kind in a model, also inside its blocks."""

from typing import TypeVar

import keras

Kind = TypeVar("Kind", bound=keras.layers.Layer)


def layers_of_kind(model: keras.layers.Layer, kind: type[Kind]) -> list[Kind]:
    """All layers of a class in a model, at any depth of nesting, in the order of their creation."""
    # Keras' `Model.layers` has the outermost layers alone.
    return [layer for layer in model._flatten_layers() if isinstance(layer, kind)]
