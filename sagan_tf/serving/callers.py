"""Who calls: by key, from a file that is read again when it changes, or else by address."""

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
# Between looks at the file of keys.
_LOOK_SECONDS = 1.0
# Proxies in a row that are followed back.
_MAX_HOPS = 16
# An IPv6 caller commonly has so many leading bits of his own, and all addresses below.
_IPV6_PREFIX = 64

_log = logging.getLogger(__name__)


def read_keys(path: Path) -> dict[str, str]:
    """Callers' names by the SHA-256 of their key, from lines `name:sha256`.

    Raises:
        ValueError: if the file cannot be read, a line is none, there is no line, a key stands
            twice or is empty.
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
    """Makes a key, keeps its SHA-256 under `name` and returns the key, which is kept nowhere.

    Raises:
        ValueError: if the name is none, is there already, or the file cannot be read.
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
    # In place, since a container that has the file mounted would not see another one.
    with path.open("a+", encoding="ascii") as file:
        file.seek(0)
        ended = file.read()[-1:] in ("", "\n")
        file.write(f"{line}\n" if ended else f"\n{line}\n")
    path.chmod(0o644)  # The gateway may run as another user, and a hash is no key.
    return key


class KeyFile(Mapping[str, str]):
    """What `read_keys` gives, a second after the file has changed at the latest.

    A file that cannot be used any more, or not yet, changes nothing and is one line in the log.

    Args:
        path: of the file.

    Raises:
        ValueError: as `read_keys`, at first.
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
        """What changes with the file's content; `None` without a file."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns


def caller_of_key(key: str, keys: Mapping[str, str]) -> str | None:
    """The name of the caller whose key it is."""
    digest = _hash(key)
    found = None
    # All of them, so that the time does not tell which one was near.
    for known, name in keys.items():
        if hmac.compare_digest(digest, known):
            found = name
    return found if key else None


def _hash(key: str) -> str:
    # Keys are 256 random bits: nothing slower is needed, as it would be for passwords.
    return hashlib.sha256(key.encode("utf-8", errors="replace")).hexdigest()


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks or single addresses.

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
    """Whether an address belongs to one of the networks."""
    parsed = _parsed(address) if networks else None
    return parsed is not None and any(parsed in network for network in networks)


def client_address(
    peer: str, forwarded_for: Sequence[str], trusted_proxies: Sequence[Network]
) -> str:
    """The address of whoever calls.

    Args:
        peer: the other end of the connection.
        forwarded_for: the `X-Forwarded-For` headers. They are read from the last entry back, and
            each is believed only as far as a trusted proxy wrote it.
        trusted_proxies: whose headers are believed.
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


def network_of(address: str) -> str:
    """What is counted as one caller: an IPv4 address, or the network of an IPv6 one."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return address


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, perhaps with a port as some proxies write it; IPv4 within IPv6 as IPv4."""
    text = text.strip()
    if match := re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+):\d+", text):
        text = match[1] or match[2]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
