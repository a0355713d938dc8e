"""Settings of a training run, and named presets for them.

A new flag is a `setting(...)` in the group class of its topic, with its help and limits:
`DataSettings` or `NetworkSettings` in `network_settings`, `OptimisationSettings` or
`RegularizationSettings` in `optimisation_settings`, `HardwareSettings` or `KeepingSettings` in
`running_settings`. `settings` joins the groups, and `validation` checks which settings go together.
`presets` holds values with their sources, and `resolving` combines flags, preset and defaults.
`serving_settings` are those of `sagan_tf.serve`.
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
