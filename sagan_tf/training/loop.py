"""The loop around the training step: many steps per call, checkpoints, logs, interruption."""

import contextlib
import gc
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from absl import logging

from sagan_tf.data.pipeline import scale
from sagan_tf.machine.team import SINGLE_PROCESS, Team
from sagan_tf.run import finite
from sagan_tf.run.checkpoint import Checkpoints
from sagan_tf.training.counts import Counts
from sagan_tf.training.monitor import Monitor, NullMonitor
from sagan_tf.training.schedule import Schedule
from sagan_tf.training.stopping import Stopped, StopSignal
from sagan_tf.training.trainer import SAGAN

if TYPE_CHECKING:
    from sagan_tf.training.score_tracker import ScoreTracker


def train(
    sagan: SAGAN,
    strategy: tf.distribute.Strategy,
    batches_from: Callable[[int, int], Iterator[Any]],
    checkpoints: Checkpoints,
    monitor: Monitor | NullMonitor,
    schedule: Schedule,
    first_step: int,
    tracker: "ScoreTracker | None" = None,
    team: Team = SINGLE_PROCESS,
) -> tuple[int, int]:
    """Trains from `first_step` to `schedule.steps`, or until SIGTERM or Ctrl-C at any worker.

    Args:
        sagan: model, built and compiled under `strategy`.
        strategy: distribution strategy, with one or several replicas.
        batches_from: (step, number of rollbacks) -> iterator of a distributed dataset from there.
        checkpoints: where to save when a checkpoint is due and when the loop is stopped.
        monitor: shows logs and sample grids when they are due.
        schedule: the steps at which logs, sample grids, checkpoints and scores are due.
        first_step: number of steps already done.
        tracker: scores the generator when it is due; `None` for no scores.
        team: the workers; all of them call this function.

    Returns:
        The step reached, and the number of the signal that stopped the loop, or 0.

    Raises:
        NotFiniteError: when a loss or a variable is not finite and no rollback is left.
        OSError: when a checkpoint cannot be written.
    """
    run_steps = make_run_steps(sagan, strategy)
    batches = batches_from(first_step, _rollbacks(sagan))
    shows = _Shows(lambda step: _save(checkpoints, sagan, step))
    if not first_step:
        _begin(shows, monitor, schedule)
    step, stopped = first_step, 0
    with StopSignal() as stop:
        due = first_step and schedule.due(first_step, schedule.eval_every)
        if due and tracker is not None and not tracker.scored(first_step):
            stopped = _score(tracker, monitor, shows, first_step, stop, team)  # cut off before
        while step < schedule.steps and not stopped:
            count = schedule.steps_until_due(step)
            step, losses = step + count, run_steps(batches, tf.constant(count))
            monitor.advance(count)
            stopped = team.all_reduce_max(stop.received)  # read once: what stops also saves, below
            try:
                losses = _checked(schedule, step, losses, checkpoints.variables, stopped, team)
            except finite.NotFiniteError as error:
                step = _go_back(sagan, checkpoints, monitor, schedule, error)
                team.agree_on_weights(checkpoints.variables)
                with _collected_here():
                    del batches
                batches = batches_from(step, _rollbacks(sagan))
                continue
            _save_and_show(shows, monitor, schedule, step, losses, stopped)
            if tracker is not None and not stopped and schedule.due(step, schedule.eval_every):
                stopped = _score(tracker, monitor, shows, step, stop, team)
        team.barrier()  # until the chief has saved; signals are ignored meanwhile
    return step, stopped


def _begin(shows: "_Shows", monitor: Monitor | NullMonitor, schedule: Schedule) -> None:
    """Before the first step: saves a checkpoint to roll back to, if needed, and shows samples."""
    if schedule.max_rollbacks:
        shows.save(0)  # to go back to
    # This changes the averaged generator's statistics, which no step reads.
    shows.show("The sample grid", 0, monitor.show_samples, 0)


@contextlib.contextmanager
def _collected_here() -> Iterator[None]:
    """Ends the iterators that are dropped inside in this thread, before it goes on.

    On several replicas they have threads that read ahead. If Python's garbage collector found them
    in a thread that these wait for, both would wait forever.
    """
    enabled = gc.isenabled()
    gc.disable()  # in all threads
    try:
        yield
        gc.collect()
    finally:
        if enabled:
            gc.enable()


def _rollbacks(sagan: SAGAN) -> int:
    return int(tf.convert_to_tensor(sagan.rollbacks.value))  # mirrored variables lack int()


def make_run_steps(
    sagan: SAGAN, strategy: tf.distribute.Strategy
) -> Callable[[Iterator[Any], tf.Tensor], dict[str, tf.Tensor]]:
    """A function `(batches, count) -> scalars of the last step` that runs `count` steps.

    uint8 images are scaled to floats on the device, so that a quarter of the bytes is transferred.
    The batches are not checked. Steps are counted on the host, and nothing in a step waits for a
    value from the device, so that the host runs ahead of it.
    """

    def step(batch: tuple[tf.Tensor, tf.Tensor], counts: Counts) -> dict[str, tf.Tensor]:
        images, labels = batch
        # GPUs have few kernels for int32; TensorFlow would compute on the host.
        logs = sagan.run_step(scale(images), tf.cast(labels, tf.int64), counts)
        return {name: logs[name] for name in sagan.scalars}

    # `tf.while_loop`, as AutoGraph would take seconds to convert a loop in Python.
    @tf.function(autograph=False)
    def run_steps(batches: Iterator[Any], count: tf.Tensor) -> dict[str, tf.Tensor]:
        # Defined before the loop, on every replica's device.
        losses = strategy.run(lambda: {name: tf.zeros(()) for name in sagan.scalars})
        first = sagan.counts

        def run_next(done: tf.Tensor, _: Any) -> tuple[tf.Tensor, Any]:
            counts = first.after(done, sagan.d_steps)
            return done + 1, strategy.run(step, (next(batches), counts))

        _, losses = tf.while_loop(lambda done, _: done < count, run_next, (0, losses))
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.MEAN, loss, axis=None)
            for name, loss in losses.items()
        }

    return run_steps


def _checked(
    schedule: Schedule,
    step: int,
    losses: dict[str, Any],
    variables: Mapping[str, Any],
    stopped: int,
    team: Team,
) -> dict[str, float]:
    """The losses if something is due at `step`, checked to be finite like the variables; else {}.

    Raises:
        NotFiniteError: if a loss or a variable of any worker is not finite.
    """
    if not (stopped or schedule.anything_due(step)):
        return {}
    broken = None
    try:
        losses = finite.check_losses(step, losses)
        finite.check_variables(step, variables)
    except finite.NotFiniteError as error:
        broken = error
    if team.all_reduce_max(int(broken is not None)):
        raise broken or finite.NotFiniteError(f"Training broke before step {step} elsewhere.")
    return losses


class _Shows:
    """Calls the functions that show a run, and warns once if one fails.

    A failure does not end the run as long as checkpoints can be written.

    Args:
        save: writes the checkpoint of a step.
    """

    def __init__(self, save: Callable[[int], None]) -> None:
        self.save = save
        self._said: set[str] = set()

    def show(self, what: str, step: int, function: Callable[..., Any], *arguments: Any) -> None:
        """Calls a function that shows something.

        Raises:
            OSError: if the function cannot write, and neither can the checkpoint of `step` be
                written.
        """
        try:
            function(*arguments)
        except Exception as error:  # no failure to show something may end the run
            if isinstance(error, OSError):
                self.save(step)
            self.warn(what, step, error)

    def warn(self, what: str, step: int, error: Exception) -> None:
        """Warns that something failed, the first time that it does."""
        logging.debug("%s", traceback.format_exc())
        if what not in self._said:
            self._said.add(what)
            logging.warning(
                "%s of step %d failed: %s: %s. The training goes on; this is said once.",
                what,
                step,
                type(error).__name__,
                error,
            )


def _save_and_show(
    shows: _Shows,
    monitor: Monitor | NullMonitor,
    schedule: Schedule,
    step: int,
    losses: dict[str, float],
    stopped: int,
) -> None:
    """Does what is due at `step`; saves first, so that a later failure loses nothing."""
    if stopped or schedule.save_due(step):
        shows.save(step)
    if schedule.samples_due(step):
        shows.show("The sample grid", step, monitor.show_samples, step)
    if schedule.due(step, schedule.log_every):
        shows.show("The log", step, monitor.log, step, losses)


def _score(
    tracker: "ScoreTracker",
    monitor: Monitor | NullMonitor,
    shows: _Shows,
    step: int,
    stop: StopSignal,
    team: Team,
) -> int:
    """Scores the generator; returns the number of the signal that interrupted it, or 0."""
    try:
        monitor.log_scores(step, tracker.score(step, stop.check))
    except Stopped:
        return stop.received
    except Exception as error:
        if team.size > 1:  # other workers may be waiting for this one's result
            raise
        shows.warn("The score", step, error)  # the checkpoint of this step has been saved
    return 0


def _save(checkpoints: Checkpoints, sagan: SAGAN, step: int) -> None:
    sagan.sampling_generator()  # computes the averaged generator's statistics, to be saved
    checkpoints.save(step)


def _go_back(
    sagan: SAGAN,
    checkpoints: Checkpoints,
    monitor: Monitor | NullMonitor,
    schedule: Schedule,
    error: finite.NotFiniteError,
) -> int:
    """Restores the newest checkpoint and returns its step.

    Latents, labels and data then differ from those that broke the run, as they all depend on the
    number of rollbacks. A run that is killed before its next checkpoint breaks again in the same
    way, and goes back again in the same way.
    """
    rollbacks = _rollbacks(sagan) + 1
    step = checkpoints.restore_newest() if rollbacks <= schedule.max_rollbacks else None
    if step is None:
        raise finite.NotFiniteError(
            f"{error} Nothing of that is saved. `--max_rollbacks={rollbacks}` or more with the "
            "same command goes back to the newest checkpoint and on with other noise. Or start "
            "from that checkpoint in a new workdir with lower learning rates (`--init_from`)."
        ) from error
    sagan.rollbacks.assign(rollbacks)
    logging.warning(
        "%s Going on from step %d with other noise: rollback %d of %d.",
        error,
        step,
        rollbacks,
        schedule.max_rollbacks,
    )
    monitor.go_back(step)
    return step
