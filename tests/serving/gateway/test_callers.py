import hashlib
import os

import pytest

from sagan_tf.serving.gateway import callers
from sagan_tf.serving.gateway.callers import (
    KeyFile,
    add_key,
    caller_of_key,
    client_address,
    is_within,
    network_of,
    read_keys,
    read_networks,
)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "trusted", "expected"),
    [
        # Nobody is trusted.
        ("127.0.0.1", ["1.2.3.4"], [], "127.0.0.1"),
        ("9.9.9.9", ["1.2.3.4"], ["10.0.0.0/8"], "9.9.9.9"),
        # Only what a trusted proxy wrote itself counts.
        ("10.0.0.1", ["1.2.3.4"], ["10.0.0.0/8"], "1.2.3.4"),
        ("10.0.0.1", ["8.8.8.8, 1.2.3.4"], ["10.0.0.0/8"], "1.2.3.4"),
        ("10.0.0.1", ["8.8.8.8", "1.2.3.4"], ["10.0.0.0/8"], "1.2.3.4"),
        ("10.0.0.1", ["8.8.8.8, 1.2.3.4, 10.0.0.2"], ["10.0.0.0/8"], "1.2.3.4"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], ["10.0.0.0/8"], "10.0.0.3"),
        # Text is no address.
        ("10.0.0.1", ["x" * 50_000], ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", ["\r\n1.2.3.4 and more"], ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", [""], ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", [], ["10.0.0.0/8"], "10.0.0.1"),
        # As some proxies write it.
        ("10.0.0.1", ["1.2.3.4:5678"], ["10.0.0.1"], "1.2.3.4"),
        ("::1", ["[2001:db8::1]:99"], ["::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], ["10.0.0.1"], "1.2.3.4"),
    ],
)
def test_the_address_is_what_trusted_proxies_say(peer, forwarded_for, trusted, expected):
    assert client_address(peer, forwarded_for, read_networks(trusted)) == expected


def test_networks():
    assert network_of("1.2.3.4") == "1.2.3.4"
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2::5") == "2001:db8:1:2::/64"
    assert network_of("unknown") == "unknown"
    assert is_within("10.1.2.3", read_networks(["10.0.0.0/8"]))
    assert not is_within("unknown", read_networks(["10.0.0.0/8"]))
    with pytest.raises(ValueError, match="`--trusted_proxies` expects addresses"):
        read_networks(["proxy.example"])


@pytest.mark.parametrize("text", [b"", b"x"])
def test_the_hash_of_nothing_is_no_key(tmp_path, text):
    """A file with the SHA-256 of nothing lets in whoever sends no key."""
    file = tmp_path / "keys"
    file.write_text(f"x:{hashlib.sha256(text).hexdigest()}\n")
    if text:
        assert caller_of_key("x", read_keys(file)) == "x"
        assert caller_of_key("", read_keys(file)) is None
    else:
        with pytest.raises(ValueError, match="SHA-256 of nothing for 'x'"):
            read_keys(file)
        assert caller_of_key("", {hashlib.sha256(text).hexdigest(): "x"}) is None


def test_one_key_is_one_caller(tmp_path):
    digest = hashlib.sha256(b"k").hexdigest()
    (tmp_path / "keys").write_text(f"a:{digest}\nb:{digest}\n")
    with pytest.raises(ValueError, match="has a key twice"):
        read_keys(tmp_path / "keys")


def test_a_key_is_added_in_place(tmp_path):
    """A container that has the file mounted sees the new line."""
    file = tmp_path / "keys"
    add_key(file, "anna")
    file.write_text(file.read_text().rstrip())
    inode = file.stat().st_ino
    add_key(file, "ben")
    assert file.stat().st_ino == inode
    assert sorted(read_keys(file).values()) == ["anna", "ben"]


def test_a_changed_file_counts_at_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(callers, "_LOOK_SECONDS", 0.0)
    file = tmp_path / "keys"
    anna = add_key(file, "anna")
    keys = KeyFile(file)
    assert caller_of_key(anna, keys) == "anna"
    ben = add_key(file, "ben")
    assert caller_of_key(ben, keys) == "ben"
    file.write_text(file.read_text().splitlines()[1] + "\n")
    assert caller_of_key(anna, keys) is None
    assert caller_of_key(ben, keys) == "ben"
    # One that cannot be used changes nothing.
    file.write_text("half a li")
    assert (caller_of_key(ben, keys), len(keys)) == ("ben", 1)
    file.unlink()
    assert caller_of_key(ben, keys) == "ben"
    assert "The keys stay as they were" in caplog.text


def test_reload_reads_what_looks_unchanged(tmp_path):
    file = tmp_path / "keys"
    add_key(file, "anna")
    status = file.stat()
    keys = KeyFile(file)
    text = file.read_text()
    file.write_text("bell" + text[4:])  # of the same length and time
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert list(keys.values()) == ["anna"]
    keys.reload()
    assert list(keys.values()) == ["bell"]
