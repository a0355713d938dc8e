"""Identifies callers: by key, from a file that is read again when it changes, or by address."""

import functools
import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_KEY_LINE = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-f]{64})")
# Seconds between looks at the file of keys.
_LOOK_SECONDS = 1.0
# Longest chain of proxies that is followed back.
_MAX_HOPS = 16
# Length of the prefix that an IPv6 caller commonly owns; he can call from any address within it.
_IPV6_PREFIX = 64

_log = logging.getLogger(__name__)


def read_keys(path: Path) -> dict[str, str]:
    """Reads a file of keys.

    Args:
        path: text file with a line `name:sha256` for each caller.

    Returns:
        Callers' names by the SHA-256 of their key, in hexadecimal.

    Raises:
        ValueError: if the file cannot be read or is empty, if a line has another form, or if a
            key is the empty string or is there twice.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"`--api_key_file` {path} cannot be read: {error}") from None
    matches = [_KEY_LINE.fullmatch(line) for line in lines]
    if not all(matches) or not matches:
        raise ValueError(
            f"`--api_key_file` {path} must have lines `name:sha256`, which `--add_key=name` adds."
        )
    keys = {match[2]: match[1] for match in matches if match}
    if len(keys) < len(lines):
        raise ValueError(f"`--api_key_file` {path} has a key twice; each caller needs his own.")
    if _hash("") in keys:
        raise ValueError(
            f"`--api_key_file` {path} has the SHA-256 of nothing for {keys[_hash('')]!r}: it would "
            "let in callers without a key. Remove the line, and make a key with `--add_key`."
        )
    return keys


def add_key(path: Path, name: str) -> str:
    """Makes a random key and adds its SHA-256 to the file of keys.

    Args:
        path: file of keys; it is made if it does not exist.
        name: 1 to 64 letters, digits, `.`, `_` and `-` that identify the caller.

    Returns:
        The key itself, which is stored nowhere.

    Raises:
        ValueError: if the name has other characters or is in the file already, or if the file
            cannot be read.
    """
    key = secrets.token_urlsafe(32)
    line = f"{name}:{_hash(key)}"
    if not _KEY_LINE.fullmatch(line):
        raise ValueError(
            f"`--add_key` expects letters, digits, `.`, `_` and `-`. Received: {name!r}"
        )
    keys = read_keys(path) if path.exists() else {}
    if name in keys.values():
        raise ValueError(f"`--add_key` {name!r} is in {path} already; remove its line first.")
    # In place: a container that mounts the file would not see a new one.
    with path.open("a+", encoding="ascii") as file:
        file.seek(0)
        ended = file.read()[-1:] in ("", "\n")
        file.write(f"{line}\n" if ended else f"\n{line}\n")
    path.chmod(0o644)  # The gateway may run as another user, and a hash is no key.
    return key


class KeyFile(Mapping[str, str]):
    """Holds what `read_keys` returns, and reads the file again within a second of a change.

    If the changed file cannot be used, the keys stay as they were and the log says so.

    Args:
        path: see `read_keys`.

    Raises:
        ValueError: as `read_keys`, from the constructor alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = self._look()
        self._keys = read_keys(path)
        self._looked = time.monotonic()

    def __getitem__(self, digest: str) -> str:
        return self._newest()[digest]

    def __iter__(self) -> Iterator[str]:
        return iter(self._newest())

    def __len__(self) -> int:
        return len(self._newest())

    def reload(self) -> None:
        """Reads the file now."""
        self._state = self._look()
        try:
            self._keys = read_keys(self._path)
        except ValueError as error:
            _log.error("The keys stay as they were: %s", error)
        else:
            _log.warning("The file of keys was read: %d callers.", len(self._keys))

    def _newest(self) -> dict[str, str]:
        now = time.monotonic()
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            if self._look() != self._state:
                self.reload()
        return self._keys

    def _look(self) -> tuple[int, ...] | None:
        """Returns what changes when the file does; `None` if there is no file."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns


def caller_of_key(key: str, keys: Mapping[str, str]) -> str | None:
    """Returns the name of the caller who owns a key; `None` for an unknown or empty key."""
    digest = _hash(key)
    found = None
    # Compares with all, in constant time, so that timing tells nothing about the keys.
    for known, name in keys.items():
        if hmac.compare_digest(digest, known):
            found = name
    return found if key else None


def _hash(key: str) -> str:
    # Keys are 256 random bits, so a slow hash, which passwords need, adds nothing.
    return hashlib.sha256(key.encode("utf-8", errors="replace")).hexdigest()


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Parses networks such as `10.0.0.0/8` and single addresses.

    Raises:
        ValueError: if a text is neither.
    """
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise ValueError(
            f"`--trusted_proxies` expects addresses or networks, as in 10.0.0.0/8: {error}"
        ) from None


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Returns whether an address belongs to one of the networks."""
    parsed = _parsed(address) if networks else None
    return parsed is not None and any(parsed in network for network in networks)


def client_address(
    peer: str, forwarded_for: Sequence[str], trusted_proxies: Sequence[Network]
) -> str:
    """Finds the address of the caller behind proxies.

    Args:
        peer: address at the other end of the connection.
        forwarded_for: the `X-Forwarded-For` headers. Entries are read from the last one back, and
            an entry is believed only if a trusted proxy wrote it.
        trusted_proxies: networks of the proxies whose headers are believed.
    """
    address = peer
    hops = ",".join(forwarded_for).split(",")[-_MAX_HOPS:] if trusted_proxies else []
    for hop in reversed(hops):
        if not is_within(address, trusted_proxies):
            break
        parsed = _parsed(hop)
        if parsed is None:
            break
        address = str(parsed)
    return address


@functools.lru_cache(maxsize=4096)  # callers call again and again
def network_of(address: str) -> str:
    """Returns what counts as one caller: an IPv4 address, or the /64 network of an IPv6 one."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return address


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parses an address, perhaps with a port as some proxies write it; unwraps IPv4 in IPv6."""
    text = text.strip()
    if match := re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+):\d+", text):
        text = match[1] or match[2]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
