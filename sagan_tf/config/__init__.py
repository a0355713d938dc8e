"""Settings of a training run, and named presets for them.

Each flag is defined once, with its help and limits: those of the data and the networks in
`network_settings`, those of optimisation and regularization in `optimisation_settings`, those of
hardware, checkpoints and logs in `settings`, which joins them all. `validation` checks which
settings go together. `presets` holds values with their sources, and `resolving` combines flags,
preset and defaults.
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
