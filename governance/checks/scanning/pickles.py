"""Follow a pickle symbolically: every name it would import, none of them imported."""

from __future__ import annotations

import io
import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from governance.checks.scanning.limits import Unreadable

_OPAQUE = object()
_HAS_OBJECTS = 1  # flag of a numpy type
_MOST_OPERATIONS = 20_000_000
_ITEM = re.compile(r"[<>=|]?([biufcmMSUOV])(\d+)\Z")
_CONSTANTS = frozenset(
    [
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
        "FLOAT",
        "BINFLOAT",
    ]
)


@dataclass(frozen=True)
class Global:
    """A name that the pickle imports."""

    module: str
    name: str

    def __str__(self) -> str:
        """Write it as a person would."""
        return f"{self.module}.{self.name}"


@dataclass
class _Instance:
    """The result of a call that would have happened."""

    made_by: Any
    arguments: Any
    states: list[Any] = field(default_factory=list)


@dataclass
class Trace:
    """What a stream does. end: position behind it. plain: the stream without the arrays that joblib writes in between."""

    names: set[Global] = field(default_factory=set)
    called: set[Global] = field(default_factory=set)
    calls: int = 0
    extensions: bool = False
    computed_names: bool = False
    skipped_arrays: bool = False
    end: int = 0
    plain: bytes = b""
    nested: list[bytes] = field(default_factory=list)


class PartlyRead(Unreadable):
    """The stream is broken; `trace` holds what it would have done before that, which Python would do as well."""

    def __init__(self, message: str, trace: Trace) -> None:
        super().__init__(message, "broken-pickle")
        self.trace = trace


def follow(data: bytes) -> Trace:
    """Return what the pickle at the beginning of `data` does. Raises PartlyRead where it cannot be followed.

    A file with arrays between the operations, as joblib writes it, is followed both ways: whether joblib or pickle will
    load it is not known, and what one of them skips the other runs.
    Source: the opcodes of pickletools; the stack is kept as the unpickler of CPython keeps it.
    """
    trace = _follow(data, joblib=True)
    if trace.skipped_arrays:
        try:
            trace.names |= _follow(data, joblib=False).called
        except PartlyRead as broken:
            # The bytes of a harmless array can read like an import by chance, hardly like an import that is then called.
            trace.names |= broken.trace.called
    return trace


def _follow(data: bytes, *, joblib: bool) -> Trace:
    machine = _Machine(data, joblib=joblib)
    try:
        machine.run()
    except Unreadable as cause:
        raise PartlyRead(str(cause), machine.trace) from cause
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as cause:
        raise PartlyRead(f"{type(cause).__name__}: {cause}", machine.trace) from cause
    return machine.trace


class _Machine:
    def __init__(self, data: bytes, *, joblib: bool) -> None:
        self._data = data
        self._joblib = joblib
        self._file = io.BytesIO(data)
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._frame_end = 0
        self._plain_from = 0
        self._plain: list[bytes] = []
        self.trace = Trace()

    def run(self) -> None:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(self._file)):
            if count > _MOST_OPERATIONS:
                raise Unreadable(f"it has more than {_MOST_OPERATIONS} operations")
            self._step(opcode.name, argument)
        self.trace.end = self._file.tell()
        self.trace.plain = b"".join([*self._plain, self._data[self._plain_from : self.trace.end]])

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self._stack.append(argument)
        elif name in _HANDLERS:
            _HANDLERS[name](self, argument)
        elif name in ("EXT1", "EXT2", "EXT4"):
            self.trace.extensions = True
            self._stack.append(_OPAQUE)
        elif name not in ("PROTO", "STOP", "READONLY_BUFFER"):
            raise Unreadable(f"the operation {name} is not known")

    def constant(self, value: Any) -> None:
        self._stack.append(value)

    def mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marks.pop()
        return items

    def pop(self, _: Any = None) -> Any:
        # CPython's POP on an empty frame of the stack takes the mark away instead of a value.
        return self._stack.pop() if self._stack or not self._marks else self.since_mark()

    def duplicate(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def collect_tuple(self, _: Any) -> None:
        items = self.since_mark()
        self._stack.append(tuple(items))

    def collect_opaque(self, _: Any) -> None:
        self.since_mark()
        self._stack.append(_OPAQUE)

    def collect_dict(self, _: Any) -> None:
        items = self.since_mark()
        self._stack.append(_text_keys(items))

    def extend(self, _: Any) -> None:
        self.since_mark()
        self._top()

    def set_items(self, _: Any) -> None:
        items = self.since_mark()
        if isinstance(self._top(), dict):
            self._top().update(_text_keys(items))

    def set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        if isinstance(self._top(), dict):
            self._top().update(_text_keys([key, value]))

    def append_item(self, _: Any) -> None:
        self._stack.pop()
        self._top()

    def short_tuple(self, length: int) -> None:
        items = [self._stack.pop() for _ in range(length)]
        self._stack.append(tuple(reversed(items)))

    def remember(self, index: Any) -> None:
        self._memo[len(self._memo) if index is None else int(index)] = self._top()

    def recall(self, index: Any) -> None:
        self._stack.append(self._memo[int(index)])

    def frame(self, length: Any) -> None:
        self._frame_end = self._file.tell() + int(length)

    def global_(self, argument: Any) -> None:
        self._stack.append(self._import(*str(argument).split(" ", 1)))

    def stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            self.trace.computed_names = True
            self._stack.append(_OPAQUE)
            return
        self._stack.append(self._import(module, name))

    def _import(self, module: str, name: str) -> Global:
        found = Global(module, name)
        self.trace.names.add(found)
        return found

    def instance(self, argument: Any) -> None:
        self._call(self._import(*str(argument).split(" ", 1)), tuple(self.since_mark()))

    def object(self, _: Any) -> None:
        made_by, *arguments = self.since_mark()
        self._call(made_by, tuple(arguments))

    def reduce(self, _: Any) -> None:
        arguments, made_by = self._stack.pop(), self._stack.pop()
        self._call(made_by, arguments)

    def new_with_keywords(self, _: Any) -> None:
        self._stack.pop()
        self.reduce(None)

    def _call(self, made_by: Any, arguments: Any) -> None:
        self.trace.calls += 1
        if isinstance(made_by, Global):
            self.trace.called.add(made_by)
        self._stack.append(_Instance(made_by, arguments))

    def persistent(self, _: Any) -> None:
        self._stack.append(_OPAQUE)

    def persistent_from_stack(self, _: Any) -> None:
        self._stack.pop()
        self._stack.append(_OPAQUE)

    def build(self, _: Any) -> None:
        state = self._stack.pop()
        top = self._top()
        self.trace.calls += 1
        if not isinstance(top, _Instance):
            return
        top.states.append(state)
        if self._joblib and _is_array_wrapper(top):
            self._skip_array(state)
            self._stack[-1] = _OPAQUE

    def _skip_array(self, state: Any) -> None:
        """Move over the array that joblib writes, unframed, right behind its wrapper."""
        start = self._file.tell()
        if start < self._frame_end:
            # The unpickler would read the array behind the frame and then go on inside it; we would skip what it runs.
            raise Unreadable("an array of joblib lies inside a frame")
        item_bytes = _item_bytes(state["dtype"])
        if item_bytes is None:
            self._follow_nested(start)
            return
        size = item_bytes * math.prod(state["shape"])
        if state.get("numpy_array_alignment_bytes") is not None:
            size += 1 + self._data[start]
        if not 0 <= size <= len(self._data) - start:
            raise Unreadable("an array of joblib is longer than the file")
        self._continue_at(start, start + size)

    def _follow_nested(self, start: int) -> None:
        nested = follow(self._data[start:])
        self.trace.names |= nested.names
        self.trace.calls += nested.calls
        self.trace.extensions |= nested.extensions
        self.trace.computed_names |= nested.computed_names
        self.trace.nested += [nested.plain, *nested.nested]
        self._continue_at(start, start + nested.end)

    def _continue_at(self, start: int, position: int) -> None:
        self.trace.skipped_arrays = True
        self._plain.append(self._data[self._plain_from : start])
        self._plain_from = position
        self._file.seek(position)

    def _top(self) -> Any:
        return self._stack[-1]


def _is_array_wrapper(instance: _Instance) -> bool:
    wrapper = Global("joblib.numpy_pickle", "NumpyArrayWrapper")
    # Protocols 0 and 1 make every object by way of copyreg.
    through_copyreg = str(instance.made_by) in ("copyreg._reconstructor", "copy_reg._reconstructor")
    return instance.made_by == wrapper or (through_copyreg and wrapper in instance.arguments)


def _item_bytes(dtype: Any) -> int | None:
    """Return the bytes of one item of a numpy type, or None for objects. Raises Unreadable when it is not certain.

    The state that follows a type can change its size, which would move everything behind the array; so every field of
    it must agree with the code. Source: the pickle form of numpy.dtype, state version 3.
    """
    code = dtype.arguments[0]
    matched = _ITEM.match(code)
    if dtype.made_by != Global("numpy", "dtype") or matched is None:
        raise Unreadable(f"an array of joblib has the type {code!r}, whose size is not known")
    size = int(matched[2]) * (4 if matched[1] == "U" else 1)
    if matched[1] == "V":
        _check_record(dtype, size)
        return size
    for version, _, *parts, item_bytes, _, flags in dtype.states:
        objects = bool(flags & _HAS_OBJECTS)
        if version != 3 or parts != [None, None, None] or item_bytes not in (-1, size) or objects != (matched[1] == "O"):
            raise Unreadable("the type of an array of joblib contradicts itself")
    return None if matched[1] == "O" else size


def _check_record(dtype: Any, size: int) -> None:
    """Raise Unreadable unless a record type has one state, the size of its code, and no objects in its fields."""
    ((version, _, subtype, names, parts, item_bytes, _, flags),) = dtype.states
    if version != 3 or subtype is not None or item_bytes != size or flags & _HAS_OBJECTS or set(names) != set(parts):
        raise Unreadable("the record type of an array of joblib contradicts itself")
    for part, *_ in parts.values():
        if _item_bytes(part) is None:
            raise Unreadable("a record of an array of joblib holds objects")


def _text_keys(items: list[Any]) -> dict[str, Any]:
    return {key: value for key, value in zip(items[::2], items[1::2], strict=True) if isinstance(key, str)}


_HANDLERS: dict[str, Callable[[_Machine, Any], Any]] = {
    "NONE": lambda machine, _: machine.constant(None),
    "NEWTRUE": lambda machine, _: machine.constant(True),
    "NEWFALSE": lambda machine, _: machine.constant(False),
    "EMPTY_TUPLE": lambda machine, _: machine.constant(()),
    "EMPTY_LIST": lambda machine, _: machine.constant(_OPAQUE),
    "EMPTY_SET": lambda machine, _: machine.constant(_OPAQUE),
    "EMPTY_DICT": lambda machine, _: machine.constant({}),
    "NEXT_BUFFER": lambda machine, _: machine.constant(_OPAQUE),
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": lambda machine, _: machine.since_mark(),
    "DUP": _Machine.duplicate,
    "TUPLE": _Machine.collect_tuple,
    "TUPLE1": lambda machine, _: machine.short_tuple(1),
    "TUPLE2": lambda machine, _: machine.short_tuple(2),
    "TUPLE3": lambda machine, _: machine.short_tuple(3),
    "LIST": _Machine.collect_opaque,
    "FROZENSET": _Machine.collect_opaque,
    "DICT": _Machine.collect_dict,
    "APPEND": _Machine.append_item,
    "APPENDS": _Machine.extend,
    "ADDITEMS": _Machine.extend,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "PUT": _Machine.remember,
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "MEMOIZE": lambda machine, _: machine.remember(None),
    "GET": _Machine.recall,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "FRAME": _Machine.frame,
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "INST": _Machine.instance,
    "OBJ": _Machine.object,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.new_with_keywords,
    "PERSID": _Machine.persistent,
    "BINPERSID": _Machine.persistent_from_stack,
    "BUILD": _Machine.build,
}
