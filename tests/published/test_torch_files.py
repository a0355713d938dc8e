import collections
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch

from sagan_tf.published.torch_files import read_state_dict

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
# Those with a storage type of their own, and those that have none.
DTYPES = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128"
UNTYPED_DTYPES = "uint16 uint32 uint64"


def save(path, content, zipped):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def expected(tensor):
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def assert_equal(array, tensor):
    wanted = expected(tensor)
    assert (array.dtype, array.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_array_equal(array, wanted)


@FORMATS
def test_every_dtype(zipped, tmp_path):
    tensors = {
        dtype: (torch.randn(3, 5) * 10).abs().to(getattr(torch, dtype))
        for dtype in f"{DTYPES} {UNTYPED_DTYPES}".split()
    }
    arrays = read_state_dict(save(tmp_path / "x.pth", tensors, zipped))
    for dtype, tensor in tensors.items():
        assert_equal(arrays[dtype], tensor)


@FORMATS
def test_a_model(zipped, tmp_path):
    layers = torch.nn.Conv2d(3, 4, (1, 7), bias=False), torch.nn.BatchNorm2d(4)
    state = torch.nn.Sequential(*layers, torch.nn.Linear(4, 2)).half().state_dict()
    arrays = read_state_dict(save(tmp_path / "model.pth", state, zipped))
    assert list(arrays) == list(state)  # in order
    for name, tensor in state.items():
        assert_equal(arrays[name], tensor)


@FORMATS
def test_what_stands_beside_tensors_stays(zipped, tmp_path):
    weight = torch.nn.Parameter(torch.randn(2, 3))
    content = {
        "state_dict": collections.OrderedDict(weight=weight),
        "epoch": 3,
        "steps": 2**40,
        "rate": 0.5,
        "name": "grün",
        "scores": [np.float64(14.5), np.float32(0.25), np.int64(-3)],
        "flags": [True, False, None, (1, 2, 3, 4), ()],
        "optimizer": {0: {"moment": torch.ones(2)}},
    }
    arrays = read_state_dict(save(tmp_path / "x.pth", content, zipped))
    assert_equal(arrays["state_dict"].pop("weight"), weight)
    assert_equal(arrays["optimizer"][0].pop("moment"), torch.ones(2))
    del content["state_dict"]["weight"], content["optimizer"][0]["moment"]
    assert arrays == content


@FORMATS
def test_views_share_their_storage(zipped, tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "base": base,
        "transposed": base.T,
        "part": base[1:3, ::2],
        "last": base[3, 5],
        "repeated": base[:1, :1].expand(5, 7),
        "none": torch.empty(0, 3),
    }
    arrays = read_state_dict(save(tmp_path / "x.pth", tensors, zipped))
    for name, tensor in tensors.items():
        assert_equal(arrays[name], tensor)
    arrays["base"][1, 2] = -1.0
    assert arrays["transposed"][2, 1] == arrays["part"][0, 1] == -1.0


class Call:
    """Pickled, it asks for a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@FORMATS
def test_functions_are_refused_and_not_run(zipped, tmp_path):
    made = tmp_path / "made"
    for function in [os.mkdir, exec, torch.load, getattr, np.fromfile]:
        path = save(tmp_path / "x.pth", {"x": Call(function, str(made))}, zipped)
        name = rf"asks for `\w+(\.\w+)*\.{function.__name__}`, which is not run"
        with pytest.raises(ValueError, match=name):
            read_state_dict(path)
    assert not made.exists()


def test_a_plain_pickle_is_not_run(tmp_path):
    made = tmp_path / "made"
    path = tmp_path / "x.pth"
    path.write_bytes(pickle.dumps(Call(os.mkdir, str(made)), protocol=2))
    with pytest.raises(ValueError, match=r"asks for `posix\.mkdir`"):
        read_state_dict(path)
    path.write_bytes(pickle.dumps({"x": Call(os.mkdir, str(made))}, protocol=5))
    with pytest.raises(ValueError, match=r"opcode FRAME"):
        read_state_dict(path)
    assert not made.exists()


@FORMATS
def test_a_whole_module_is_refused(zipped, tmp_path):
    path = save(tmp_path / "x.pth", torch.nn.ReLU(), zipped)
    with pytest.raises(ValueError, match=r"model\.state_dict\(\), path"):
        read_state_dict(path)


@FORMATS
def test_a_dictionary_is_needed(zipped, tmp_path):
    for content in [torch.ones(2), [1, 2], None]:
        with pytest.raises(ValueError, match="holds no dictionary but"):
            read_state_dict(save(tmp_path / "x.pth", content, zipped))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        read_state_dict(tmp_path / "absent.pth")


@FORMATS
def test_a_file_cut_anywhere_is_refused(zipped, tmp_path):
    path = save(tmp_path / "x.pth", {"a": torch.ones(20), "b": torch.zeros(3, 4)}, zipped)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"x\.pth is no whole file of tensors"):
            read_state_dict(path)


@FORMATS
def test_damaged_bytes_lead_to_arrays_or_one_error(zipped, tmp_path):
    path = save(tmp_path / "x.pth", {"a": torch.ones(20), "b": [torch.zeros(3, 4)]}, zipped)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(500):
        damaged = whole.copy()
        damaged[rng.integers(0, min(len(whole), 1200), 2)] = rng.integers(0, 256, 2)
        path.write_bytes(damaged.tobytes())
        try:
            read_state_dict(path)
        except ValueError as error:
            refused += "is no whole file of tensors" in str(error)
    assert refused > 50


def tensor_pickle(size, strides, offset=0, count=4):
    """The pickle of {"x": tensor}, whose storage 0 has `count` floats."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, torch.Tensor):
                return "storage", torch.FloatStorage, "0", "cpu", count
            return None

    stream = io.BytesIO()
    rebuild = torch._utils._rebuild_tensor
    call = Call(rebuild, torch.empty(0), offset, size, strides)
    Pickler(stream, protocol=2).dump({"x": call})
    return stream.getvalue()


def write_zip(path, pickled, storage=bytes(16), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/data/0", storage)
    return path


def test_the_smallest_zip(tmp_path):
    path = write_zip(
        tmp_path / "x.pth", tensor_pickle((2, 2), (2, 1)), struct.pack("4f", *range(4))
    )
    np.testing.assert_array_equal(read_state_dict(path)["x"], [[0, 1], [2, 3]])


OUTSIDE = [
    ((5,), (1,)),  # one too many
    ((2, 2), (3, 1)),
    ((4,), (1,), 1),
    ((4,), (-1,)),
    ((2,), (1,), -1),
    ((-1,), (1,)),
    ((2**62,), (1,)),
    ((2**62, 2**62), (0, 0)),
    ((2,), (2**62,)),
    ((4,), (1,), 0, 2**40),  # a storage of terabytes
    ((4,), (1,), 0, -4),
    ((4,), (1,), 0, 3),
    ((2.0,), (1,)),
    ((2,), (1, 1)),
    ("ab", "cd"),
]


def test_tensors_stay_inside_the_file(tmp_path):
    for arguments in OUTSIDE:
        path = write_zip(tmp_path / "x.pth", tensor_pickle(*arguments))
        with pytest.raises(ValueError, match="is no whole file of tensors"):
            read_state_dict(path)


def test_strings_of_python_2(tmp_path):
    path = write_zip(tmp_path / "x.pth", b"\x80\x02}U\x04nameT\x05\x00\x00\x00values.")
    assert read_state_dict(path) == {"name": "value"}


def test_tensors_need_a_storage(tmp_path):
    call = Call(torch._utils._rebuild_tensor, "no storage", 0, (2,), (1,))
    path = write_zip(tmp_path / "x.pth", pickle.dumps({"x": call}, protocol=2))
    with pytest.raises(ValueError, match="is no whole file of tensors"):
        read_state_dict(path)


def test_compressed_entries_are_refused(tmp_path):
    pickled = tensor_pickle((4,), (1,))
    path = write_zip(tmp_path / "x.pth", pickled, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="is compressed"):
        read_state_dict(path)


def test_a_large_memo_costs_nothing(tmp_path):
    # Python's own unpickler makes room for as many objects as the number says.
    path = write_zip(tmp_path / "x.pth", b"\x80\x02}r\xff\xff\xff\xff.")
    assert read_state_dict(path) == {}


def test_numbers_of_other_machines_are_refused(tmp_path):
    path = write_zip(tmp_path / "x.pth", tensor_pickle((4,), (1,)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x/byteorder", "big")
    with pytest.raises(ValueError, match="big-endian"):
        read_state_dict(path)
