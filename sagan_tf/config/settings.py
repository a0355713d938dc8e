"""Everything `python -m sagan_tf.train` can be told: each setting once, with what goes with it."""

import dataclasses
from typing import ClassVar

from sagan_tf.config.network_settings import DataSettings, NetworkSettings
from sagan_tf.config.optimisation_settings import OptimisationSettings, RegularizationSettings
from sagan_tf.fields import setting


@dataclasses.dataclass(frozen=True)
class HardwareSettings:
    """Devices, number formats and compilers."""

    title: ClassVar[str] = "How to compute it"

    device: str = setting(
        "auto",
        "gpu, cpu, or auto: GPUs if there are any.",
        also="use_gpu cpu",
        choices=("auto", "cpu", "gpu"),
        free=True,
    )
    num_replicas: int | None = setting(
        None,
        "Replicas on each machine: GPUs, or logical CPU devices; without it all GPUs, or one CPU.",
        also="gpus num_gpus ngpu gpu devices num_devices",
        at_least=1,
        published=False,
    )
    worker_timeout: int = setting(
        300,
        "Seconds to wait for other workers, of TF_CONFIG or a SLURM step, to come up.",
        free=True,
    )
    dtype_policy: str = setting(
        "float32",
        "float32 or mixed_bfloat16.",
        also="fp16 bf16 amp mixed_precision half precision dtype",
        choices=("float32", "mixed_bfloat16"),
        published=False,
    )
    query_chunk_size: int | None = setting(
        None,
        "Positions that attend at a time, to save memory; without it all.",
        at_least=1,
        published=False,
    )
    xla: bool = setting(
        False,
        "Compile forward pass and gradients with XLA.",
        also="jit jit_compile compile",
        published=False,
    )
    deterministic: bool = setting(
        False, "Forbid kernels whose sums have no fixed order (GPU).", free=True
    )
    steps_per_call: int = setting(
        10, "Steps per call from Python into TensorFlow.", at_least=1, free=True
    )


@dataclasses.dataclass(frozen=True)
class KeepingSettings:
    """Checkpoints, logs, grids and scores."""

    title: ClassVar[str] = "What to keep and show"

    resume: bool = setting(
        True, "Go on from the workdir's newest checkpoint.", also="continue restart", free=True
    )
    dry_run: bool = setting(False, "Print settings, sizes and costs, then stop.", free=True)
    time: bool = setting(
        False,
        "With --dry_run: run some steps on noise, and tell how long the run would take.",
        free=True,
    )
    log_every: int = setting(
        100, "Steps between lines in TensorBoard and metrics.jsonl.", at_least=1, free=True
    )
    sample_every: int = setting(
        1000,
        "Steps between sample grids.",
        also="sample_interval snap snapshot_interval sample_step",
        at_least=1,
        free=True,
    )
    checkpoint_every: int = setting(
        1000,
        "Steps between checkpoints.",
        also="save_every save_freq save_checkpoints_steps model_save_step",
        at_least=1,
        free=True,
    )
    max_to_keep: int = setting(3, "Checkpoints to keep.", at_least=1, free=True)
    eval_every: int = setting(
        0,
        "Steps between scores, of which the best's checkpoint is kept; 0 for none.",
        also="test_every metrics fid_every",
        at_least=0,
        free=True,
    )
    eval_images: int = setting(5000, "Images generated for each score.", at_least=2, free=True)
    extractor: str | None = setting(
        None,
        "Of features to score: inception, classifier or PATH.keras, as `sagan_tf.evaluate` says.",
        free=True,
    )
    cache_dir: str = setting(
        "~/.cache/sagan_tf", "Where features of real images are kept.", free=True
    )
    max_rollbacks: int = setting(
        0,
        "How often in all to go back to the newest checkpoint, and on from there with other noise "
        "and order of the data, when losses or weights are not finite; then, or with 0, stop.",
        at_least=0,
        free=True,
    )


# In the order of their fields: of a dataclass, those of the last base come first.
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
    """Settings of a training run. Defaults are the `released` preset.

    Beside what `setting` knows, `free` settings may differ between the parts of one run, as they do
    not change what is computed, and `published=False` marks those that no publication gives.
    """

    # Names of those that some preset sets; filled where presets are known.
    by_preset: ClassVar[frozenset[str]] = frozenset()
    # By the first field of each.
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
