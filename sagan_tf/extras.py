"""Packages of optional extras, whose absence is reported with the name of the extra."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Context for importing packages of an optional extra, before hours of work and not after.

    Raises:
        ValueError: if a package is not installed; the message names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(
            f"`{error.name}` is not installed; `pip install 'sagan_tf[{name}]'` brings it."
        ) from None
