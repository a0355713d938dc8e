"""Reads PyTorch's files of tensors without PyTorch, and without running code in them.

`torch.save` writes a pickle, which may call any function. Here a pickle is read as data (by
`pickles`), and only the few names that tensors need are allowed. The two file formats are described
in PyTorch's `torch/serialization.py` and its note "Serialization semantics".
"""

import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from sagan_tf.published.pickles import read_pickle

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# NumPy dtypes by their PyTorch names. NumPy has no bfloat16, which is the upper half of a float32.
_DTYPES = {
    "float64": "<f8",
    "float32": "<f4",
    "float16": "<f2",
    "bfloat16": "<u2",
    "int64": "<i8",
    "int32": "<i4",
    "int16": "<i2",
    "int8": "<i1",
    "uint8": "<u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
    "bool": "?",
    "complex64": "<c8",
    "complex128": "<c16",
}
_STORAGES = {
    "torch DoubleStorage": "float64",
    "torch FloatStorage": "float32",
    "torch HalfStorage": "float16",
    "torch BFloat16Storage": "bfloat16",
    "torch LongStorage": "int64",
    "torch IntStorage": "int32",
    "torch ShortStorage": "int16",
    "torch CharStorage": "int8",
    "torch ByteStorage": "uint8",
    "torch BoolStorage": "bool",
    "torch ComplexFloatStorage": "complex64",
    "torch ComplexDoubleStorage": "complex128",
    "torch UntypedStorage": "uint8",
    "torch.storage UntypedStorage": "uint8",
}
# Exceptions that damaged sizes, positions and names can cause.
_DAMAGES = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)


def read_state_dict(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a dictionary of tensors from a file of `torch.save`.

    It reads the zip format, and the stream of pickles that was the only format before PyTorch 1.6.
    Tensors take at most about three times the file's size in memory, whatever the file contains.

    Args:
        path: the file.

    Returns:
        Arrays by name, with the tensors' shapes and dtypes; bfloat16 becomes float32, which is
        exact. Tensors that share memory share it here as well. Nested dictionaries, ordered or not,
        become `dict`; parameters become arrays; numbers, strings, lists and tuples are kept.

    Raises:
        OSError: if the file cannot be read.
        ValueError: for a file that is damaged, cut short or not from PyTorch, that holds no
            dictionary, or that uses other functions or classes than those of plain tensors.
    """
    data = Path(path).read_bytes()
    try:
        read = _read_zip if data.startswith(b"PK\x03\x04") else _read_legacy
        content = read(data)
        if not isinstance(content, dict):
            raise ValueError(f"it holds no dictionary but {type(content).__name__}")
    except _DAMAGES as error:
        raise ValueError(
            f"`path` {os.fspath(path)} is no whole file of tensors as `torch.save` writes it: "
            f"{error}. Copy it again, or save it anew by torch.save(model.state_dict(), path)."
        ) from error
    return content


def _read_zip(data: bytes) -> Any:
    """Reads an archive of `NAME/data.pkl` and the numbered storages, `NAME/data/0` ..."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist():
            _check_byte_order(_entry(archive, f"{folder}byteorder") == b"little")
        storages = _Storages(limit=len(data))
        content = read_pickle(io.BytesIO(_entry(archive, pickled)), _NAMES, storages.claim)
        for key in storages.keys:
            storages.fill(key, _entry(archive, f"{folder}data/{key}"))
    return content


def _entry(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:  # it could expand to any size
        raise ValueError(f"{name} is compressed")
    return archive.read(name)  # this verifies the checksum


def _read_legacy(data: bytes) -> Any:
    """Reads consecutive pickles, then each storage: its length as int64, and its bytes."""
    file = io.BytesIO(data)
    if read_pickle(file, _NAMES) != _LEGACY_MAGIC:
        raise ValueError("it does not begin as one")
    read_pickle(file, _NAMES)  # the version of the format; there was only one
    _check_byte_order(read_pickle(file, _NAMES)["little_endian"])
    storages = _Storages(limit=len(data))
    content = read_pickle(file, _NAMES, storages.claim)
    keys = read_pickle(file, _NAMES)
    if set(keys) != storages.keys:
        raise ValueError("its tensors and its list of storages differ")
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        storages.fill(key, file.read(count * storages.item_size(key)))
    return content


def _check_byte_order(is_little_endian: bool) -> None:
    if not is_little_endian:
        raise ValueError("it was written by a big-endian machine")


class _Storages:
    """The storages of tensors, which a pickle claims by key before their content is read.

    Args:
        limit: number of bytes that all storages together may claim.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._arrays: dict[str, np.ndarray] = {}
        self._dtypes: dict[str, str] = {}

    @property
    def keys(self) -> set[str]:
        return set(self._arrays)

    def item_size(self, key: str) -> int:
        return np.dtype(_DTYPES[self._dtypes[key]]).itemsize

    def claim(self, persistent_id: Any) -> np.ndarray:
        """The array of a storage, which `fill` will fill."""
        kind, dtype, key, _, count, *view = persistent_id  # the fourth item is a device
        if kind != "storage" or view not in ([], [None]):
            raise ValueError(f"it asks for {kind!r} with {view}")
        if key not in self._arrays:
            self._dtypes[key] = dtype
            self._free -= count * self.item_size(key)
            if count < 0 or self._free < 0:
                raise ValueError("its tensors are larger than the file")
            self._arrays[key] = np.empty(count, "<f4" if dtype == "bfloat16" else _DTYPES[dtype])
        return self._arrays[key]

    def fill(self, key: str, content: bytes) -> None:
        array, dtype = self._arrays[key], self._dtypes[key]
        values = np.frombuffer(content, _DTYPES[dtype])
        if values.shape != array.shape:
            raise ValueError(f"storage {key} holds {values.size} numbers instead of {array.size}")
        array[:] = (values.astype("<u4") << 16).view("<f4") if dtype == "bfloat16" else values


def _tensor(
    storage: np.ndarray, offset: int, size: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> np.ndarray:
    """A view of a storage; NumPy checks its bounds. Further arguments concern gradients."""
    item_size = storage.dtype.itemsize
    return np.ndarray(
        size, storage.dtype, storage, offset * item_size, [step * item_size for step in strides]
    )


def _tensor_of_untyped(
    storage: np.ndarray,
    offset: int,
    size: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool,
    hooks: Any,
    dtype: str,
    *_: Any,
) -> np.ndarray:
    """A view of a storage, like `_tensor`, for dtypes without a storage type of their own."""
    return _tensor(storage.view(_DTYPES[dtype]), offset, size, strides)


def _numpy_number(dtype: str, data: bytes) -> Any:
    """A NumPy number, such as a score, which training programs save beside tensors."""
    return np.frombuffer(data, f"<{dtype}")[0]


_NAMES = {
    **_STORAGES,
    **{f"torch {dtype}": dtype for dtype in _DTYPES},
    "collections OrderedDict": lambda: {},
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_tensor_v3": _tensor_of_untyped,
    "torch._utils _rebuild_parameter": lambda tensor, *_: tensor,
    "numpy dtype": lambda code, *_: code,
    "numpy.core.multiarray scalar": _numpy_number,  # before NumPy 2
    "numpy._core.multiarray scalar": _numpy_number,
    "_codecs encode": lambda text, _: text.encode("latin1"),  # the form of bytes in pickles
}
