"""Reads pickles as data, without running any code in them.

A small stack machine knows the few opcodes that `torch.save` writes and the names that its caller
allows, and refuses all others. Opcodes have the names of Python's `pickletools`.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

# Opcodes that push their argument; the last two are from Python 2.
_LITERALS = frozenset(
    "BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE BINSTRING SHORT_BINSTRING".split()
)
# Opcodes that push a new object.
_EMPTY: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}


def read_pickle(
    file: BinaryIO, names: Mapping[str, Any], claim: Callable[[Any], Any] | None = None
) -> Any:
    """Reads one pickle, and leaves the file's position behind it.

    Args:
        file: file at the pickle's first byte.
        names: objects that a pickle may use, by "module name".
        claim: returns the object for a persistent identifier; `None` refuses such identifiers.

    Returns:
        The pickled object.

    Raises:
        EOFError: for a pickle that ends early.
        ValueError: for another opcode or name.
        IndexError, KeyError, TypeError and exceptions of the objects in `names`: for an invalid
            pickle.
    """
    machine = _Machine(names, claim)
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "STOP":
            return machine.stack.pop()
        machine.step(opcode.name, argument)
    raise EOFError("it ends early")


class _Machine:
    """The stack, marks and memo on which a pickle's opcodes work."""

    def __init__(self, names: Mapping[str, Any], claim: Callable[[Any], Any] | None) -> None:
        self.stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._names = names
        self._claim = claim

    def step(self, opcode: str, argument: Any) -> None:
        """Executes one opcode; the type of its argument depends on the opcode."""
        stack = self.stack
        match opcode:
            case "PROTO":
                pass
            case name if name in _LITERALS:
                stack.append(argument)
            case name if name in _EMPTY:
                stack.append(_EMPTY[name]())
            case "MARK":
                self._marks.append(len(stack))
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "GLOBAL":
                stack.append(self._named(argument))
            case "BINPERSID" if self._claim is not None:
                stack.append(self._claim(stack.pop()))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(stack.pop()(*arguments))
            case "BUILD":
                # Dropped: an ordered dictionary's attributes (versions of modules), or a NumPy
                # number's byte order, which is the same in all of PyTorch's files.
                stack.pop()
            case _:
                self._collect(opcode)

    def _collect(self, opcode: str) -> None:
        """Executes an opcode that puts the uppermost objects into a container."""
        stack = self.stack
        match opcode:
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                length = int(opcode[-1])
                stack[-length:] = [tuple(stack[-length:])]
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "APPEND":
                _extend(stack[-2], [stack.pop()])
            case "APPENDS":
                values = self._since_mark()
                _extend(stack[-1], values)
            case "SETITEM":
                _update(stack[-3], [stack.pop(-2), stack.pop()])
            case "SETITEMS":
                values = self._since_mark()
                _update(stack[-1], values)
            case _:
                raise ValueError(f"it holds the opcode {opcode}")

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def _named(self, name: str) -> Any:
        if name not in self._names:
            raise ValueError(f"it asks for `{name.replace(' ', '.')}`, which is not run")
        return self._names[name]


def _extend(target: Any, values: list[Any]) -> None:
    if not isinstance(target, list):
        raise TypeError(f"it appends to {type(target).__name__}")
    target.extend(values)


def _update(target: Any, values: list[Any]) -> None:
    keys = values[::2]
    if not isinstance(target, dict) or not all(isinstance(key, str | int) for key in keys):
        raise TypeError("it sets items of something else than a dictionary of names")
    target.update(zip(keys, values[1::2], strict=True))
