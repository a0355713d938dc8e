"""The loop around the training step: many steps per call, saved, shown, interruptible."""

import dataclasses
import math
import signal
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from sagan_tf.checkpoint import Checkpoints
from sagan_tf.monitor import Monitor
from sagan_tf.trainer import SAGAN, SCALARS


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When the loop does what, in steps.

    Attributes:
        steps: in all.
        steps_per_call: run by TensorFlow before Python looks again.
        log_every: between lines of scalars.
        sample_every: between sample grids.
        checkpoint_every: between checkpoints.
    """

    steps: int
    steps_per_call: int
    log_every: int
    sample_every: int
    checkpoint_every: int

    def due(self, step: int, every: int) -> bool:
        """Whether something done `every` so many steps is done at `step`; at the end all is."""
        return step == self.steps or step % every == 0

    def steps_until_due(self, step: int) -> int:
        """How many steps to run before something may be due."""
        left = [every - step % every for every in (self.log_every, self.sample_every)]
        left += [self.checkpoint_every - step % self.checkpoint_every, self.steps - step]
        return min(self.steps_per_call, *left)


class StopSignal:
    """Notes SIGTERM and Ctrl-C, so that the loop ends after the step it is in.

    A second signal of the same kind acts as it would have without this.

    Attributes:
        received: the signal's number, 0 before.
    """

    def __init__(self) -> None:
        self.received = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: Any) -> None:
        self.received = number
        signal.signal(number, signal.SIG_DFL)


def train(
    sagan: SAGAN,
    strategy: tf.distribute.Strategy,
    batches: Iterator[Any],
    checkpoints: Checkpoints,
    monitor: Monitor,
    schedule: Schedule,
    first_step: int,
) -> tuple[int, int]:
    """Trains from `first_step` to `schedule.steps`, or until SIGTERM or Ctrl-C.

    Args:
        sagan: built and compiled under `strategy`.
        strategy: of one or several replicas.
        batches: iterator of a dataset distributed by `strategy`, at `first_step`.
        checkpoints: saved to when due, and when stopped.
        monitor: shown to when due.
        schedule: when that is.
        first_step: steps already done.

    Returns:
        The step reached, and the signal that stopped it or 0.

    Raises:
        ValueError: when a loss is not finite; nothing of that is saved.
    """
    run_steps = _run_steps(sagan, strategy)
    stop = StopSignal()
    step = saved = first_step
    losses: dict[str, float] = {}
    while step < schedule.steps and not stop.received:
        count = schedule.steps_until_due(step)
        losses = run_steps(batches, tf.constant(count))
        step += count
        monitor.advance(count)
        if schedule.due(step, schedule.log_every):
            monitor.log(step, _finite(step, losses))
        if schedule.due(step, schedule.sample_every):
            monitor.show_samples(step)
        if schedule.due(step, schedule.checkpoint_every):
            saved = _save(checkpoints, sagan, step, losses)
    if step > saved:
        _save(checkpoints, sagan, step, losses)
    return step, stop.received


def _run_steps(sagan: SAGAN, strategy: tf.distribute.Strategy) -> Any:
    @tf.function
    def run_steps(batches: Iterator[Any], count: tf.Tensor) -> dict[str, tf.Tensor]:
        losses = {name: tf.constant(0.0) for name in SCALARS}  # so that the loop has them
        for _ in tf.range(count):
            replica_losses = strategy.run(sagan.train_step, (next(batches),))
            losses = {
                name: strategy.reduce(tf.distribute.ReduceOp.MEAN, replica_losses[name], axis=None)
                for name in SCALARS
            }
        return losses

    return run_steps


def _save(checkpoints: Checkpoints, sagan: SAGAN, step: int, losses: dict[str, Any]) -> int:
    _finite(step, losses)
    sagan.sampling_generator()  # a saved average comes with its own statistics
    checkpoints.save(step)
    return step


def _finite(step: int, losses: dict[str, Any]) -> dict[str, float]:
    values = {name: float(value) for name, value in losses.items()}
    broken = {name: value for name, value in values.items() if not math.isfinite(value)}
    if broken:
        raise ValueError(
            f"Training broke before step {step}: {broken}. The newest checkpoint is from before; "
            "start from it with lower learning rates in a new workdir (`--init_from`)."
        )
    return values
