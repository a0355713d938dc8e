"""The steps at which a training run logs, shows samples, saves and scores."""

import dataclasses

# From this many steps between sample grids on, additional grids come soon after the start.
_LONG_WAIT = 100


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When the loop does what, in steps.

    Attributes:
        steps: total number of steps.
        steps_per_call: largest number of steps that TensorFlow runs in one call from Python.
        log_every: steps between lines of scalars.
        sample_every: steps between sample grids; from 100 on, additional grids come soon after the
            start.
        checkpoint_every: steps between checkpoints.
        max_rollbacks: how often to go back to the newest checkpoint when training breaks.
        eval_every: steps between scores, each of which has a checkpoint; 0 for no scores.
    """

    steps: int
    steps_per_call: int
    log_every: int
    sample_every: int
    checkpoint_every: int
    max_rollbacks: int = 0
    eval_every: int = 0

    def due(self, step: int, every: int) -> bool:
        """Whether something done every `every` steps is due at `step`; at the last step all is."""
        return every > 0 and (step == self.steps or step % every == 0)

    def save_due(self, step: int) -> bool:
        """Whether a checkpoint is written after `step` steps."""
        return self.due(step, self.checkpoint_every) or self.due(step, self.eval_every)

    def anything_due(self, step: int) -> bool:
        """Whether anything is done after `step` steps."""
        log = self.due(step, self.log_every)
        return log or self.samples_due(step) or self.save_due(step)

    def samples_due(self, step: int) -> bool:
        """Whether a sample grid is shown after `step` steps."""
        return step in self._early_samples or self.due(step, self.sample_every)

    def steps_until_due(self, step: int) -> int:
        """Number of steps to run until something may be due, at most `steps_per_call`."""
        due = (self.log_every, self.sample_every, self.checkpoint_every, self.eval_every)
        left = [every - step % every for every in due if every]
        left += [early - step for early in self._early_samples if early > step]
        return min(self.steps_per_call, self.steps - step, *left)

    @property
    def _early_samples(self) -> tuple[int, ...]:
        """Steps of additional early grids, which show soon whether a run learns anything."""
        if self.sample_every < _LONG_WAIT:
            return ()
        return self.sample_every // 8, self.sample_every // 4, self.sample_every // 2
