"""What is read from images of one class: the result of a check, and the two sides."""

import dataclasses
from typing import NamedTuple

import numpy as np


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Whether images show the parts of their class, and whether the constraint holds.

    Attributes:
        readable: bool `(N,)`, whether all parts are present and can be read.
        satisfied: bool `(N,)`, whether the image is readable and the constraint holds.
        value: `(N, ...)`, a measured value, described by each class's check. It has no meaning for
            unreadable images.
    """

    readable: np.ndarray
    satisfied: np.ndarray
    value: np.ndarray

    def rates(self) -> dict[str, float]:
        """Fractions of the images; `satisfied_if_readable` is NaN if no image is readable."""
        readable, satisfied = float(self.readable.mean()), float(self.satisfied.mean())
        return {
            "readable": readable,
            "satisfied": satisfied,
            "satisfied_if_readable": satisfied / readable if readable else float("nan"),
        }


class Sides(NamedTuple):
    """What the two sides of images show, whether or not it is exact enough for a check.

    Attributes:
        located: bool `(N,)`, whether both parts were found.
        left: `(N, ...)`, what is read on the left, described by each class's `read_sides`. It has
            no meaning where nothing was located.
        right: the same on the right.
    """

    located: np.ndarray
    left: np.ndarray
    right: np.ndarray
