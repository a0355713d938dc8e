"""Times this package on this machine.

python -m sagan_tf.benchmark --only=train,attention --out=benchmark.json

The cases of a comparison run in turn, so that other load on the machine affects all of them alike.
"""

import dataclasses
import datetime
import json
import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagan_tf import command
from sagan_tf.fields import setting

if TYPE_CHECKING:
    from sagan_tf.benchmark.timing import Result

GROUPS = (
    "train",
    "loop",
    "sampling",
    "folding",
    "serving",
    "attention",
    "input",
    "checkpoint",
    "scores",
    "start",
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Command-line flags of `python -m sagan_tf.benchmark`."""

    only: tuple[str, ...] = setting(
        GROUPS,
        f"Comparisons to run, separated by commas: {', '.join(GROUPS)}. "
        "The sizes below hold for all but loop, scores and start, which have their own.",
        choices=GROUPS,
    )
    rounds: int = setting(10, "Number of times that each case is timed.", at_least=1)
    image_size: int = setting(
        64,
        "Pixels per side of an image: 16, 32, 64, 128 or 256.",
        choices=(16, 32, 64, 128, 256),
    )
    base_filters: int = setting(
        32,
        "Width of the networks: every feature map has a multiple of this many filters.",
        at_least=1,
    )
    num_classes: int = setting(100, "Number of classes.", at_least=1)
    batch_size: int = setting(32, "Images per batch.", at_least=1)
    device: str = setting("cpu", "cpu or gpu (the first GPU).", choices=("cpu", "gpu"))
    out: str | None = setting(None, "File to which to write the results as JSON.")
    profile: str | None = setting(
        None,
        "Instead of timing, write a TensorBoard trace of five training steps to this directory.",
    )


def main(settings: Settings) -> None:
    """Runs the comparisons and prints a table for each."""
    _check(settings)
    from sagan_tf.benchmark import cases, timing, training_cases
    from sagan_tf.output.files import write_text

    sizes = {
        name: getattr(settings, name)
        for name in ("image_size", "base_filters", "num_classes", "batch_size")
    }
    if settings.profile:
        _profile(settings.profile, training_cases.prepare_step, sizes)
        return
    machine = _machine(settings.device)
    print(", ".join(machine.values()))
    report: dict[str, Any] = {**machine, "settings": dataclasses.asdict(settings), "groups": {}}
    for name in settings.only:
        results = timing.compare(
            cases.groups(sizes)[name](), settings.rounds, settings.device, title=name
        )
        report["groups"][name] = [dataclasses.asdict(result) for result in results]
        _print_table(name, results)
        if settings.out:
            write_text(Path(settings.out), json.dumps(report, indent=1) + "\n")


def _check(settings: Settings) -> None:
    if settings.out and Path(settings.out).is_dir():
        raise ValueError(f"`--out` must be a file. Received the directory {settings.out}")
    if settings.out and not Path(settings.out).parent.is_dir():
        raise ValueError(f"`--out` must lie in a directory that exists. Received: {settings.out}")


def _machine(device: str) -> dict[str, str]:
    import keras
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise ValueError("`--device=gpu` was given but TensorFlow sees no GPU.")
    name = f"{os.cpu_count()} CPU cores, {platform.machine()}"
    if device == "gpu":
        name = tf.config.experimental.get_device_details(gpus[0])["device_name"]
    tf.config.set_visible_devices([], "GPU")  # this process leaves the GPU to the cases
    return {
        "device": name,
        "date": datetime.date.today().isoformat(),
        "tensorflow": f"TensorFlow {tf.__version__}",
        "keras": f"Keras {keras.__version__}",
    }


def _print_table(name: str, results: list["Result"]) -> None:
    peak = next((r.macs_per_second for r in results if r.name == "matrix product"), None)
    print(f"\n{name:24} {'per second':>18}   {'ratio (quartiles)':22} {'peak memory':>11}  of peak")
    for result in results:
        rate = statistics.median(result.rates)
        share = peak and result.macs_per_second and result.macs_per_second / peak
        print(
            f"{result.name:24} {rate:>11,.4g} {result.unit:6}   {_ratio(result.ratios):22} "
            f"{result.peak_bytes / 2**20:>7,.0f} MiB  " + (f"{share:6.0%}" if share else "")
        )
        if result.latencies:
            milliseconds = [1000 * seconds for seconds in result.latencies]
            percentiles = statistics.quantiles(milliseconds, n=100)
            print(f"{'':24} p50 {percentiles[49]:.1f} ms, p99 {percentiles[98]:.1f} ms")


def _ratio(ratios: list[float]) -> str:
    if not ratios:
        return ""
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _profile(directory: str, prepare_step: Callable[..., Any], sizes: dict[str, int]) -> None:
    import tensorflow as tf

    step, _ = prepare_step(**sizes)
    for _ in range(2):
        step()
    tf.profiler.experimental.start(directory)
    for _ in range(5):
        step()
    tf.profiler.experimental.stop()
    print(f"Trace in {directory}; TensorBoard shows it with tensorboard-plugin-profile.")


if __name__ == "__main__":
    command.run(main, Settings)
