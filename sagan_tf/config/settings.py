"""`TrainSettings`, which joins the groups of `train`'s flags; each flag stands in its group."""

import dataclasses
from typing import ClassVar

from sagan_tf.config.network_settings import DataSettings, NetworkSettings
from sagan_tf.config.optimisation_settings import OptimisationSettings, RegularizationSettings
from sagan_tf.config.running_settings import HardwareSettings, KeepingSettings

# In the order of their fields: a dataclass has the fields of its last base first.
_GROUPS = (
    DataSettings,
    NetworkSettings,
    OptimisationSettings,
    RegularizationSettings,
    HardwareSettings,
    KeepingSettings,
)


@dataclasses.dataclass(frozen=True)
class TrainSettings(
    KeepingSettings,
    HardwareSettings,
    RegularizationSettings,
    OptimisationSettings,
    NetworkSettings,
    DataSettings,
):
    """Settings of a training run. The defaults are the `released` preset.

    Fields carry two more marks than `setting` describes. `free` settings may change when a run is
    resumed, as they do not change its result. `published=False` marks settings whose default is not
    from a publication.
    """

    # Names of the settings that some preset sets; filled in by the package's `__init__`.
    by_preset: ClassVar[frozenset[str]] = frozenset()
    # Title of each group, by the name of the group's first field.
    flag_groups: ClassVar[dict[str, str]] = {
        dataclasses.fields(group)[0].name: group.title for group in _GROUPS
    }

    @property
    def averaged(self) -> bool:
        """Whether a moving average of the generator is kept."""
        return self.ema_decay > 0 or self.ema_half_life > 0


def _marked(**marks: object) -> frozenset[str]:
    return frozenset(
        field.name
        for field in dataclasses.fields(TrainSettings)
        for mark, value in marks.items()
        if field.metadata.get(mark) == value
    )


FREE_SETTINGS = _marked(free=True)
UNPUBLISHED = _marked(free=True, published=False)
