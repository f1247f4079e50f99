"""What plain pickles hold, found by reading their instructions and never by obeying them.

Unpickling runs whatever functions a file names. Here nothing is imported and nothing named by the
file is called: its instructions (``pickletools.genops``) are followed on a stack of plain values,
and the few names that a numpy array of bytes is written with are known by sight. Any other name,
and any instruction that such files have no need of, is refused.
"""

from __future__ import annotations

import math
import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_plain_pickle"]

_ENCODE = "_codecs encode"
_ARRAY = "numpy ndarray"
_DTYPE = "numpy dtype"
_NAMES = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_NAMES |= {_ENCODE, _ARRAY, _DTYPE}
_BYTE = (3, "|", None, None, None, -1, -1, 0)
"""How numpy describes a dtype of one byte: version, byte order, and seven things it has not."""

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINSTRING", "SHORT_BINSTRING"}
_VALUES |= {"BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"}
_MARK = object()


@dataclass(frozen=True)
class _Name:
    """A function or class that a pickle names: its module and its name in it."""

    text: str


@dataclass
class _Dtype:
    """A description of bytes, complete once it has been told its state."""

    complete: bool = False


@dataclass
class _Array:
    """An array, empty until it has been told its state."""

    content: NDArray[np.uint8] | None = None


def read_plain_pickle(data: bytes) -> dict[str, Any]:
    """Return the dictionary in a pickle of protocol 2 to 4, without running anything it names.

    Args:
        data: the pickle. Text of Python 2 is read as latin-1, as it may be bytes.

    Returns:
        Text, whole numbers, lists of them, and arrays of uint8, by the keys of the dictionary.

    Raises:
        ValueError: for a pickle that is damaged, or holds anything but a dictionary of such values.

    >>> import pickle
    >>> whole = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [3, 5]}
    >>> found = read_plain_pickle(pickle.dumps(whole, protocol=2))
    >>> found["data"].tolist(), found["labels"]
    ([[0, 1, 2], [3, 4, 5]], [3, 5])
    >>> read_plain_pickle(pickle.dumps({"data": math.exp}))
    Traceback (most recent call last):
    ValueError: it names math.exp, which is not data
    """
    try:
        found = _Machine(len(data)).follow(data)
    except (IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("its instructions make no sense") from error
    if not isinstance(found, dict):
        raise ValueError("it holds no dictionary")
    return {key: v.content if isinstance(v, _Array) else v for key, v in found.items()}


class _Machine:
    """A stack that is told a pickle's instructions.

    Args:
        budget: how many characters may be turned into bytes in all. A pickle needs no more than
            it is long, unless it was made to fill the memory.
    """

    def __init__(self, budget: int) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.budget = budget

    def follow(self, data: bytes) -> Any:
        """Return what is on the stack when the pickle ends."""
        for instruction, argument, _ in pickletools.genops(data):
            if instruction.name == "STOP":
                break
            self._obey(instruction.name, argument)
        found = self._pop()
        if self.stack:
            raise ValueError("it ends before what it has begun")
        return found

    def _obey(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in ("MARK", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            fresh = {"MARK": _MARK, "EMPTY_DICT": {}, "EMPTY_LIST": [], "EMPTY_TUPLE": ()}
            stack.append(fresh[name])
        elif name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(self._pop_marked() if name == "TUPLE" else self._pop_last(int(name[-1])))
        elif name in ("APPEND", "APPENDS"):
            added = self._pop_last(1) if name == "APPEND" else self._pop_marked()
            self._top(list).extend(added)
        elif name in ("SETITEM", "SETITEMS"):
            self._set(self._pop_last(2) if name == "SETITEM" else self._pop_marked())
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            text = argument if name == "GLOBAL" else " ".join(self._pop_last(2))
            if text not in _NAMES:
                raise ValueError(f"it names {_shown(text)}, which is not data")
            stack.append(_Name(text))
        elif name == "REDUCE":
            made, given = self._pop_last(2)
            stack.append(self._made(made, given))
        elif name == "BUILD":
            self._build(self._pop())
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it has the instruction {name}, which plain data has no need of")

    def _pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("its instructions make no sense")
        return value

    def _pop_last(self, count: int) -> tuple[Any, ...]:
        return tuple(self._pop() for _ in range(count))[::-1]

    def _pop_marked(self) -> tuple[Any, ...]:
        values: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return tuple(values[::-1])

    def _top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise TypeError
        return self.stack[-1]

    def _set(self, pairs: tuple[Any, ...]) -> None:
        target = self._top(dict)
        if len(pairs) % 2:
            raise TypeError
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            name = key.decode("latin-1") if isinstance(key, bytes) else key
            if not isinstance(name, str) or name in target:
                raise ValueError("it has a key that is no text, or stands there twice")
            target[name] = value

    def _made(self, name: Any, given: Any) -> Any:
        """Return what a named function would have made, of the few that are known."""
        if not isinstance(name, _Name):
            raise TypeError
        if name.text == _ENCODE:  # how bytes are written by Python 3 where Python 2 may read them
            text, encoding = _fields(given, 2)
            self.budget -= len(text)
            if encoding != "latin1" or self.budget < 0:
                raise ValueError("it has bytes that are written in an unusual way")
            return text.encode("latin-1")
        if name.text == _DTYPE:
            if given[0] not in ("u1", "|u1"):
                kind = _shown(given[0]) if isinstance(given[0], str) else "something"
                raise ValueError(f"it has an array of {kind}, not of bytes")
            return _Dtype()
        if name.text == _ARRAY or given[0] != _Name(_ARRAY) or given[1] != (0,):
            raise ValueError("it has an array that is written in an unusual way")
        return _Array()

    def _build(self, state: Any) -> None:
        """Tell an array or a dtype its state: version, shape, dtype, column order, bytes."""
        target = self.stack[-1]
        if isinstance(target, _Dtype) and state == _BYTE:
            target.complete = True
        elif isinstance(target, _Array) and target.content is None:
            version, shape, dtype, columns_first, raw = _fields(state, 5)
            flat = raw.encode("latin-1") if isinstance(raw, str) else raw
            if version != 1 or not isinstance(dtype, _Dtype) or not dtype.complete:
                raise ValueError("it has an array that is written in an unusual way")
            # Looked at before anything is computed from them: a file may say anything.
            if not shape or not all(type(side) is int and side >= 0 for side in shape):
                raise ValueError("it has an array without a shape")
            if math.prod(shape) != len(flat):
                raise ValueError(f"it has an array of {len(flat)} bytes, which is not its shape")
            order = "F" if columns_first else "C"
            target.content = np.frombuffer(flat, dtype=np.uint8).reshape(shape, order=order)
        else:
            raise ValueError("it has an object that is neither an array nor a dtype")


def _fields(values: Any, count: int) -> tuple[Any, ...]:
    if type(values) is not tuple or len(values) != count:
        raise TypeError
    return values


def _shown(text: str) -> str:
    """Return a name from a file so that it can stand in an error: short, and on one line."""
    return repr(text)[1:-1][:60].replace(" ", ".", 1)
