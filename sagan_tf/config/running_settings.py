"""Flags of how a run is computed and of what it keeps: hardware, checkpoints and logs."""

import dataclasses
from typing import ClassVar

from sagan_tf.fields import setting


@dataclasses.dataclass(frozen=True)
class HardwareSettings:
    """Devices, dtypes and compilation."""

    title: ClassVar[str] = "How to compute it"

    device: str = setting(
        "auto",
        "gpu, cpu, or auto (GPUs if there are any).",
        also="use_gpu cpu",
        choices=("auto", "cpu", "gpu"),
        free=True,
    )
    num_replicas: int | None = setting(
        None,
        "Replicas per machine: GPUs, or logical CPU devices; by default all GPUs, or one CPU.",
        also="gpus num_gpus ngpu gpu devices num_devices",
        at_least=1,
        published=False,
    )
    worker_timeout: int = setting(
        300,
        "Seconds to wait for the other workers of TF_CONFIG or a SLURM step to start.",
        free=True,
    )
    dtype_policy: str = setting(
        "float32",
        "Dtype policy of the networks: float32 or mixed_bfloat16.",
        also="fp16 bf16 amp mixed_precision half precision dtype",
        choices=("float32", "mixed_bfloat16"),
        published=False,
    )
    query_chunk_size: int | None = setting(
        None,
        "Number of positions that attend at a time, to save memory; by default all.",
        at_least=1,
        published=False,
    )
    xla: bool | None = setting(
        None,
        "Compile forward passes and gradients with XLA; by default on a single GPU, unless "
        "--deterministic.",
        also="jit jit_compile compile",
        published=False,
    )
    deterministic: bool = setting(
        False, "Use only kernels that sum in a fixed order (GPU).", free=True
    )
    steps_per_call: int = setting(
        10, "Training steps per call from Python into TensorFlow.", at_least=1, free=True
    )


@dataclasses.dataclass(frozen=True)
class KeepingSettings:
    """Checkpoints, logs, grids and scores."""

    title: ClassVar[str] = "What to keep and show"

    resume: bool = setting(
        True, "Resume from the workdir's newest checkpoint.", also="continue restart", free=True
    )
    dry_run: bool = setting(False, "Print settings, sizes and costs, then stop.", free=True)
    time: bool = setting(
        False,
        "Time some steps, and print how long the run would take.",
        free=True,
        only_with="dry_run",
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
    max_to_keep: int = setting(3, "Number of checkpoints to keep.", at_least=1, free=True)
    eval_every: int = setting(
        0,
        "Steps between scores; the checkpoint that scores best is kept. 0 for no scores.",
        also="test_every metrics fid_every",
        at_least=0,
        free=True,
    )
    eval_images: int = setting(
        5000, "Images to generate for each score.", at_least=2, free=True, only_with="eval_every"
    )
    extractor: str | None = setting(
        None,
        "Feature extractor for the scores of --eval_every: inception, classifier or PATH.keras; "
        "see `sagan_tf.evaluate --help`.",
        free=True,
    )
    cache_dir: str = setting(
        "~/.cache/sagan_tf",
        "Directory in which features of real images, and what XLA compiles for a GPU, are cached.",
        free=True,
    )
    max_rollbacks: int = setting(
        0,
        "How often the run may go back to its newest checkpoint when losses or weights are not "
        "finite, and continue with other noise and another order of the data. After that, or with "
        "0, it stops.",
        at_least=0,
        free=True,
    )
