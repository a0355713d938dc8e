"""When a training run logs, shows, saves and scores, by its steps."""

import dataclasses

# Steps between sample grids that are too many to wait for the first one.
_LONG_WAIT = 100


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When the loop does what, in steps.

    Attributes:
        steps: in all.
        steps_per_call: run by TensorFlow before Python looks again.
        log_every: between lines of scalars.
        sample_every: between sample grids; from 100 on, some more come soon after the start.
        checkpoint_every: between checkpoints.
        max_rollbacks: how often to go back to the newest checkpoint when training breaks.
        eval_every: between scores, each of which has a checkpoint; 0 for none.
    """

    steps: int
    steps_per_call: int
    log_every: int
    sample_every: int
    checkpoint_every: int
    max_rollbacks: int = 0
    eval_every: int = 0

    def due(self, step: int, every: int) -> bool:
        """Whether something done `every` so many steps is done at `step`; at the end all is."""
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
        """How many steps to run before something may be due."""
        due = (self.log_every, self.sample_every, self.checkpoint_every, self.eval_every)
        left = [every - step % every for every in due if every]
        left += [early - step for early in self._early_samples if early > step]
        return min(self.steps_per_call, self.steps - step, *left)

    @property
    def _early_samples(self) -> tuple[int, ...]:
        """Steps of the first grids, so that a run shows early whether it learns anything."""
        if self.sample_every < _LONG_WAIT:
            return ()
        return self.sample_every // 8, self.sample_every // 4, self.sample_every // 2
