"""Settings of a training run, and named presets that set them.

A flag is written once, with its help and limits: of the data and the networks in
`network_settings`, of optimisation and regularization in `optimisation_settings`, of hardware and
of what is kept in `settings`, which joins them. `validation` checks which go together. `presets`
are values with their sources, and `resolving` makes the settings of a run from flags over a
preset.
"""

from sagan_tf.config.presets import PRESETS, default_preset
from sagan_tf.config.resolving import (
    FLAG,
    SHARE,
    as_flags,
    default_workdir,
    differences,
    resolve,
)
from sagan_tf.config.settings import FREE_SETTINGS, TrainSettings
from sagan_tf.config.validation import AUGMENTATIONS

TrainSettings.by_preset = frozenset(name for values in PRESETS.values() for name in values)

__all__ = [
    "AUGMENTATIONS",
    "FLAG",
    "FREE_SETTINGS",
    "PRESETS",
    "SHARE",
    "TrainSettings",
    "as_flags",
    "default_preset",
    "default_workdir",
    "differences",
    "resolve",
]
