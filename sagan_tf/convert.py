"""Converts a SAGAN checkpoint published by PyTorch-StudioGAN or mmgeneration to a workdir.

python -m sagan_tf.convert --from=mmgeneration sagan_128.pth --workdir=runs/mmgen
python -m sagan_tf.convert --from=studiogan G.pth D.pth --workdir=runs/studiogan

StudioGAN has one file for the generator, `model=G-...pth`, and one for the discriminator,
`model=D-...pth`. The files are read without PyTorch, and no code in them is run.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sagan_tf import command
from sagan_tf.fields import setting, words

if TYPE_CHECKING:
    from sagan_tf.published.networks import Published

# Data sets of the published checkpoints, by their number of classes.
_DATASETS: Mapping[int | None, str] = {10: "cifar10", 1000: "imagenet2012"}
_STATES = ("generator", "discriminator", "generator_ema")
_FILES = {
    "studiogan": ("the generator's file", "the discriminator's file"),
    "mmgeneration": ("one file",),
}


@dataclasses.dataclass(frozen=True)
class ConvertSettings:
    """Command-line flags of `python -m sagan_tf.convert`."""

    from_: str = setting(
        "",
        "Project that published it: studiogan or mmgeneration.",
        choices=("studiogan", "mmgeneration"),
    )
    checkpoint: tuple[str, ...] = words()
    workdir: str = setting("", "Directory to write, in the form of a training run.")
    dataset: str | None = setting(
        None,
        "Data set that it was trained on, for class names and scores; by default cifar10 for 10 "
        "classes and imagenet2012 for 1000.",
    )
    relu_shortcut: bool | None = setting(
        None,
        "Whether its ReLUs worked in place (mmgeneration's file names then have `wReLUinplace`); "
        "by default yes for studiogan, no for mmgeneration.",
    )
    bgr: bool | None = setting(
        None,
        "Whether its images are BGR instead of RGB; by default no for studiogan, yes for "
        "mmgeneration (give --nobgr for its files with `rgb` in their name).",
    )
    batch_norm_epsilon: float | None = setting(
        None,
        "Epsilon of its batch norm; by default 1e-4, or 1e-5 if class tables are not spectrally "
        "normalised, as in mmgeneration's bigGAN recipe.",
        above=0,
    )


def main(settings: ConvertSettings) -> None:
    """Writes the workdir, and prints how to train from it."""
    _check(settings)
    from sagan_tf.output import files
    from sagan_tf.run.checkpoint import checkpoint_steps
    from sagan_tf.run.workdir import CHECKPOINTS, CONFIG

    workdir = Path(settings.workdir)
    with files.claimed(workdir, "workdir"):
        if (workdir / CONFIG).exists() or checkpoint_steps(workdir / CHECKPOINTS):
            raise ValueError(f"`--workdir` {workdir} already holds a run. Choose another workdir.")
        states, step = _read(settings)
        from sagan_tf.machine.devices import use_device
        from sagan_tf.published.networks import convert

        use_device("cpu")
        published = convert(
            settings.from_,
            states,
            settings.relu_shortcut,
            settings.bgr,
            settings.batch_norm_epsilon,
        )
        dataset = _described_dataset(settings, published.generator.num_classes)
        with files.explained(workdir, "workdir", "again."):
            _write(settings, published, dataset, step, workdir)


def _check(settings: ConvertSettings) -> None:
    if not settings.workdir:
        raise ValueError("`--workdir` is needed; `--help` lists the flags.")
    files = _FILES[settings.from_]
    if len(settings.checkpoint) != len(files):
        raise ValueError(
            f"--from={settings.from_} expects the checkpoint as {' and '.join(files)}. "
            f"Received: {' '.join(settings.checkpoint) or 'none'}"
        )


def _read(settings: ConvertSettings) -> tuple[dict[str, dict[str, Any]], int]:
    """Each network's state by name, and the step at which it was saved; 0 if that is unknown."""
    if settings.from_ == "studiogan":
        contents = [_content(path) for path in settings.checkpoint]
        states = dict(zip(_STATES, (content["state_dict"] for content in contents), strict=False))
        return states, max(_number(content.get("step")) for content in contents)
    (path,) = settings.checkpoint
    content = _content(path)
    states = {}
    for key, value in content["state_dict"].items():
        network, _, name = key.partition(".")
        if network not in _STATES:
            raise ValueError(
                f"{path} should have entries of {', '.join(_STATES)} alone. Received: {key}"
            )
        states.setdefault(network, {})[name] = value
    missing = {"generator", "discriminator"} - set(states)
    if missing:
        raise ValueError(f"{path} has no entries of {sorted(missing)}.")
    meta = content.get("meta")
    return states, _number(meta.get("iter") if isinstance(meta, dict) else None)


def _content(path: str) -> dict[str, Any]:
    from sagan_tf.published.torch_files import read_state_dict

    content = read_state_dict(path)
    state = content.get("state_dict")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, np.ndarray) for name, value in state.items()
    ):
        raise ValueError(
            f"{path} must hold a `state_dict` of tensors by name, as its training program writes "
            f"it. Received: {', '.join(map(str, list(content)[:5]))}"
        )
    return content


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _described_dataset(settings: ConvertSettings, num_classes: int | None) -> Any:
    from sagan_tf.data import describe_source

    name = settings.dataset or _DATASETS.get(num_classes)
    if name is None:
        raise ValueError(
            f"`--dataset` must name the data set of the {num_classes} classes, as in folder:PATH."
        )
    dataset = describe_source(name)
    if len(dataset.class_names) != num_classes:
        raise ValueError(
            f"`--dataset` must have {num_classes} classes, as the checkpoint. Received: {name}, "
            f"which has {len(dataset.class_names)}"
        )
    return dataset


def _write(
    settings: ConvertSettings, published: "Published", dataset: Any, step: int, workdir: Path
) -> None:
    from sagan_tf.output import files
    from sagan_tf.run.checkpoint import Checkpoints
    from sagan_tf.run.workdir import CHECKPOINTS, write_description

    generator, discriminator = published.generator, published.discriminator
    flags = {
        "dataset": dataset.name,
        "image_size": generator.image_size,
        "base_filters": generator.base_filters,
        "discriminator_base_filters": discriminator.base_filters,
        "latent_dim": generator.latent_dim,
        "dense_bias": generator.dense_bias,
        "attention_resolutions": generator.attention_resolutions,
        "relu_shortcut": discriminator.relu_shortcut,
        "batch_norm_epsilon": generator.batch_norm_epsilon,
    }
    description = {
        "settings": {"converted_from": settings.from_, "data_dir": None, **flags},
        "dataset": dataset.name,
        "class_names": dataset.class_names,
        "ema": published.ema_generator is not None,
        "generator": generator.get_config(),
        "discriminator": discriminator.get_config(),
    }
    networks = [generator, discriminator]
    if published.ema_generator is not None:
        networks.append(published.ema_generator)
    checkpoints = Checkpoints(workdir / CHECKPOINTS, networks, json.dumps(description["settings"]))
    files.check_space(workdir, checkpoints.bytes_needed(), "The converted weights")
    checkpoints.save(step)
    write_description(workdir, description)
    print(f"converted: step {step}, {'with' if description['ema'] else 'without'} an average")
    print(f"workdir: {workdir}")
    print("to train from it: python -m sagan_tf.train", f"--init_from={workdir}", end="")
    for name, value in flags.items():
        given = ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()
        print(f" --{name}={given}", end="")
    print(" --workdir=...")


if __name__ == "__main__":
    command.run(main, ConvertSettings)
