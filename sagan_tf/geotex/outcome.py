"""What a check finds in images of one class."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Whether images show their class's parts, and whether the parts fit together.

    Attributes:
        readable: bool `(N,)`; all parts are there and can be read.
        satisfied: bool `(N,)`; readable, and the constraint holds.
        value: `(N, ...)`, what was measured; each class's check says what. Meaningless where not
            readable.
    """

    readable: np.ndarray
    satisfied: np.ndarray
    value: np.ndarray

    def rates(self) -> dict[str, float]:
        """Shares of the images; `satisfied_if_readable` is NaN where none is readable."""
        readable, satisfied = float(self.readable.mean()), float(self.satisfied.mean())
        return {
            "readable": readable,
            "satisfied": satisfied,
            "satisfied_if_readable": satisfied / readable if readable else float("nan"),
        }
