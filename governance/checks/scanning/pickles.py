"""Follow a pickle symbolically: every name it would import, none of them imported."""

from __future__ import annotations

import io
import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from governance.checks.scanning import calls
from governance.checks.scanning.limits import Unreadable
from governance.checks.scanning.symbols import Global, Instance, reads_as

_OPAQUE = object()
_HAS_OBJECTS = 1  # flag of a numpy type
_MOST_OPERATIONS = 20_000_000
_MOST_ODDITIES = 50
_MOST_CONSTANTS = 50
_MOST_DIMENSIONS = 64
_DEEPEST_RECORD = 1
_MOST_FIELDS = 256
_WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
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
class Oddity:
    """Something that no writer of models does, at a byte of the file. rule: of the finding."""

    rule: str
    offset: int
    text: str


@dataclass
class Trace:
    """What a stream does.

    names, called: with the byte at which each is met first. operations: how many there are. end: position behind it.
    plain: the stream without the arrays that joblib writes in between. nested: such streams within, of arrays of objects.
    constants: (byte, content) of constants that begin and end like a pickle.
    """

    names: dict[Global, int] = field(default_factory=dict)
    called: dict[Global, int] = field(default_factory=dict)
    oddities: list[Oddity] = field(default_factory=list)
    calls: int = 0
    operations: int = 0
    skipped_arrays: bool = False
    end: int = 0
    plain: bytes = b""
    nested: list[bytes] = field(default_factory=list)
    constants: list[tuple[int, bytes]] = field(default_factory=list)

    def take(self, other: Trace) -> None:
        """Add what another stream within this one does."""
        self.names = {**other.names, **self.names}
        self.called = {**other.called, **self.called}
        self.oddities += other.oddities[: _MOST_ODDITIES - len(self.oddities)]
        self.calls += other.calls
        self.operations += other.operations
        self.nested += [other.plain, *other.nested]
        self.constants += other.constants[: _MOST_CONSTANTS - len(self.constants)]


class PartlyRead(Unreadable):
    """The stream is broken; `trace` holds what it would have done before that, which Python would do as well."""

    def __init__(self, message: str, trace: Trace) -> None:
        super().__init__(message, "broken-pickle")
        self.trace = trace


def follow(data: bytes, start: int = 0) -> Trace:
    """Return what the pickle that begins at `start` does. Raises PartlyRead where it cannot be followed.

    A file with arrays between the operations, as joblib writes it, is followed both ways: whether joblib or pickle will
    load it is not known, and what one of them skips the other runs.
    Source: the opcodes of pickletools; the stack is kept as the unpickler of CPython keeps it.
    """
    trace = _follow(data, start, joblib=True)
    if trace.skipped_arrays:
        try:
            otherwise = _follow(data, start, joblib=False)
        except PartlyRead as broken:
            otherwise = broken.trace
        # The bytes of a harmless array can read like an import by chance, hardly like an import that is then called.
        trace.names = {**otherwise.called, **trace.names}
    return trace


def _follow(data: bytes, start: int, *, joblib: bool) -> Trace:
    machine = _Machine(data, start, joblib=joblib)
    try:
        machine.run()
    except Unreadable as cause:
        raise PartlyRead(str(cause), machine.trace) from cause
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as cause:
        raise PartlyRead(f"{type(cause).__name__}: {cause}", machine.trace) from cause
    return machine.trace


class _Machine:
    def __init__(self, data: bytes, start: int, *, joblib: bool) -> None:
        self._data = data
        self._joblib = joblib
        self._file = io.BytesIO(data)
        self._file.seek(start)
        self._position = start
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._frame_end = 0
        self._plain_from = start
        self._plain: list[bytes] = []
        self.trace = Trace()

    def run(self) -> None:
        for opcode, argument, position in pickletools.genops(self._file):
            self.trace.operations += 1
            if self.trace.operations > _MOST_OPERATIONS:
                raise Unreadable(f"it has more than {_MOST_OPERATIONS} operations")
            self._position = int(position or 0)
            self._step(opcode.name, argument)
        self.trace.end = self._file.tell()
        self.trace.plain = b"".join([*self._plain, self._data[self._plain_from : self.trace.end]])

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.constant(argument)
        elif name in _HANDLERS:
            _HANDLERS[name](self, argument)
        elif name in ("EXT1", "EXT2", "EXT4"):
            self._note("extension-registry", "It uses the extension registry of copyreg")
            self._stack.append(_OPAQUE)
        elif name not in ("PROTO", "STOP", "READONLY_BUFFER"):
            raise Unreadable(f"the operation {name} is not known")

    def _note(self, rule: str, text: str) -> None:
        if len(self.trace.oddities) < _MOST_ODDITIES:
            self.trace.oddities.append(Oddity(rule, self._position, text))

    def constant(self, value: Any) -> None:
        self._stack.append(value)
        if isinstance(value, bytes | bytearray | str) and len(value) > 3 and _reads_like_a_pickle(value):
            self._note_constant(value)

    def _note_constant(self, value: bytes | bytearray | str) -> None:
        content = value.encode("latin-1", "replace") if isinstance(value, str) else bytes(value)
        if len(self.trace.constants) < _MOST_CONSTANTS:
            self.trace.constants.append((self._position, content))

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
        place = len(self._memo) if index is None else int(index)
        if place > self.trace.operations:
            self._note("bomb", f"It asks for a memo of {place} places, which Python reserves in memory")
        self._memo[place] = self._top()

    def recall(self, index: Any) -> None:
        self._stack.append(self._memo[int(index)])

    def frame(self, length: Any) -> None:
        self._frame_end = self._file.tell() + int(length)

    def global_(self, argument: Any) -> None:
        self._stack.append(self._import(*str(argument).split(" ", 1)))

    def stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            self._note("hidden-name", "It computes the name of what it imports")
            self._stack.append(_OPAQUE)
            return
        self._stack.append(self._import(module, name))

    def _import(self, module: str, name: str) -> Global:
        found = Global(module, name)
        self.trace.names.setdefault(found, self._position)
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
        keywords, arguments, made_by = self._stack.pop(), self._stack.pop(), self._stack.pop()
        named = tuple(keywords.values()) if isinstance(keywords, dict) else ()
        self._call(made_by, arguments + named if isinstance(arguments, tuple) else arguments)

    def _call(self, made_by: Any, arguments: Any) -> None:
        self.trace.calls += 1
        if isinstance(made_by, Global):
            self.trace.called.setdefault(made_by, self._position)
            if found := calls.objection(made_by, arguments):
                self._note(found.rule, f"Its call of {made_by} {found.reason}")
        elif isinstance(made_by, Instance):
            self._note("odd-call", "It calls the result of another call")
        self._stack.append(Instance(made_by, arguments))

    def persistent(self, _: Any) -> None:
        self._stack.append(_OPAQUE)

    def persistent_from_stack(self, _: Any) -> None:
        self._stack.pop()
        self._stack.append(_OPAQUE)

    def build(self, _: Any) -> None:
        state = self._stack.pop()
        top = self._top()
        self.trace.calls += 1
        if isinstance(top, Global):
            self._note("patched-global", f"It sets attributes of {top} itself, for all that this process does")
        if not isinstance(top, Instance):
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
        size = item_bytes * math.prod(_shape(state["shape"]))
        if state.get("numpy_array_alignment_bytes") is not None:
            size += 1 + self._data[start]
        if not 0 <= size <= len(self._data) - start:
            raise Unreadable("an array of joblib is longer than the file")
        self._continue_at(start, start + size)

    def _follow_nested(self, start: int) -> None:
        nested = follow(self._data, start)
        self.trace.take(nested)
        self._continue_at(start, nested.end)

    def _continue_at(self, start: int, position: int) -> None:
        self.trace.skipped_arrays = True
        self._plain.append(self._data[self._plain_from : start])
        self._plain_from = position
        self._file.seek(position)

    def _top(self) -> Any:
        return self._stack[-1]


def _reads_like_a_pickle(value: Any) -> bool:
    if isinstance(value, str):
        return value[0] == "\x80" and "\x02" <= value[1] <= "\x05" and value[-1] == "."
    return bool(value[0] == 0x80 and 2 <= value[1] <= 5 and value[-1] == ord("."))


def _shape(shape: Any) -> tuple[int, ...]:
    """Return the shape. Raises Unreadable for one that numpy cannot have; a product of endless numbers would take forever."""
    if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
        raise Unreadable("an array of joblib has no shape that numpy knows")
    if not all(isinstance(each, int) and 0 <= each < 1 << 48 for each in shape):
        raise Unreadable("an array of joblib has no shape that numpy knows")
    return shape


def _is_array_wrapper(instance: Instance) -> bool:
    # Protocols 0 and 1 make every object by way of copyreg.
    if reads_as(instance.made_by, "copyreg._reconstructor", "copy_reg._reconstructor"):
        return any(reads_as(each, _WRAPPER) for each in instance.arguments)
    return reads_as(instance.made_by, _WRAPPER)


def _item_bytes(dtype: Any, depth: int = 0) -> int | None:
    """Return the bytes of one item of a numpy type, or None for objects. Raises Unreadable when it is not certain.

    The state that follows a type can change its size, which would move everything behind the array; so every field of
    it must agree with the code. Source: the pickle form of numpy.dtype, state version 3.
    """
    code = dtype.arguments[0]
    matched = _ITEM.match(code) if isinstance(code, str) else None
    if not reads_as(dtype.made_by, "numpy.dtype") or matched is None:
        raise Unreadable("an array of joblib has a type whose size is not known")
    size = int(matched[2]) * (4 if matched[1] == "U" else 1)
    if matched[1] == "V":
        _check_record(dtype, size, depth)
        return size
    for version, _, *parts, item_bytes, _, flags in dtype.states:
        objects = bool(flags & _HAS_OBJECTS)
        if version != 3 or parts != [None, None, None] or item_bytes not in (-1, size) or objects != (matched[1] == "O"):
            raise Unreadable("the type of an array of joblib contradicts itself")
    return None if matched[1] == "O" else size


def _check_record(dtype: Any, size: int, depth: int) -> None:
    """Raise Unreadable unless a record type has one state, the size of its code, and no objects in its fields."""
    ((version, _, subtype, names, parts, item_bytes, _, flags),) = dtype.states
    if depth > _DEEPEST_RECORD or len(names) > _MOST_FIELDS or not all(isinstance(each, str) for each in names):
        raise Unreadable("the record type of an array of joblib is not one that models have")
    if version != 3 or subtype is not None or item_bytes != size or flags & _HAS_OBJECTS or set(names) != set(parts):
        raise Unreadable("the record type of an array of joblib contradicts itself")
    for part, *_ in parts.values():
        if _item_bytes(part, depth + 1) is None:
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
