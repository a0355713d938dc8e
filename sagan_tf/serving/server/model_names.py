"""Which names a model may have, so that no address can be read in two ways."""

import re

# `/`, `:`, `?` and `#` end a part of an address, some proxies and browsers turn `\` into `/`, and
# some decode `%` twice.
_AMBIGUOUS = re.compile(r"[/\\:?#%]")


def check_model_name(name: str, source: str) -> None:
    """Checks that a name can stand in `/v1/models/<name>:predict`, quoted as URLs are.

    Args:
        name: of the model.
        source: where the name comes from, which begins the message: a flag or a file.

    Raises:
        ValueError: if the name is empty, `.` or `..`, or holds a character that an address may
            not hold there or that cannot be printed.
    """
    ambiguous = name in ("", ".", "..") or _AMBIGUOUS.search(name) or not name.isprintable()
    if ambiguous:
        raise ValueError(
            f"{source} must fit between two slashes of an address: not empty, `.` or `..`, and "
            r"without `/`, `\`, `:`, `?`, `#`, `%` and control characters. "
            f"Received: {name!r}"
        )
