"""Pickles that do more than hold a model: by their opcodes, by what they import, and by what they ask of it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import cloudpickle
import joblib
import numpy as np

from tests.hostile.cases import Hostile, a_file

Build = Callable[[str], bytes]


class Call:
    """Calls any name with any arguments when it is loaded."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


def text(value: str) -> bytes:
    """SHORT_BINUNICODE, or BINUNICODE where that is too short; surrogates pass, as Python reads them."""
    encoded = value.encode("utf-8", "surrogatepass")
    return (
        b"\x8c" + bytes([len(encoded)]) + encoded if len(encoded) < 256 else b"X" + len(encoded).to_bytes(4, "little") + encoded
    )


def name(module: str, what: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{what}\n".encode()


def stacked(module: str, what: str) -> bytes:
    """STACK_GLOBAL."""
    return text(module) + text(what) + b"\x93"


def call(module: str, what: str, *arguments: bytes) -> bytes:
    """The name, a tuple of the arguments, REDUCE."""
    return stacked(module, what) + b"(" + b"".join(arguments) + b"tR"


def long(number: int) -> bytes:
    """LONG1."""
    encoded = number.to_bytes((number.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def whole(operations: bytes) -> bytes:
    """The operations between PROTO 4 and STOP."""
    return b"\x80\x04" + operations + b"."


def mkdir(marker: str) -> bytes:
    """A whole pickle that makes the folder."""
    return whole(call("posix", "mkdir", text(marker)))


def source(marker: str) -> str:
    """The same as a line of Python."""
    return f"import os; os.mkdir({marker!r})"


def by_value(marker: str) -> bytes:
    """A function that cloudpickle writes with its code, called."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("import os\ndef make(path):\n    os.mkdir(path)\n", space)
    return cloudpickle.dumps(Call(space["make"], marker))


def as_joblib(value: Any, **more: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(value, buffer, **more)
    return buffer.getvalue()


def array_that_is_a_pickle(marker: str) -> bytes:
    """A joblib array whose bytes are a pickle: joblib skips them, pickle.load goes on and runs them."""
    zeros = b"\x00" * 400
    head, _, tail = as_joblib(np.zeros(len(zeros), dtype="u1")).partition(zeros)
    padding = len(head) - len(head.rstrip(b"\xff"))
    # The first byte says how much padding follows; 0x80, with which a pickle begins, is 128.
    return head[: len(head) - padding - 1] + mkdir(marker).ljust(1 + 0x80 + len(zeros), b"\x00") + tail


def as_npy(value: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=True)
    return buffer.getvalue()


def as_zip(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, data in files.items():
            archive.writestr(member.replace("__", "/").replace("_dot_", "."), data)
    return buffer.getvalue()


def objects(marker: str) -> Any:
    import os

    return np.array([Call(os.mkdir, marker)], dtype=object)


# 40 tuples, each of twice the one before: small to hold, endless to print, compare or hash.
SHARED = b")" + b"2\x86" * 40

TORCH_MAGIC = whole(long(0x1950A86A20F9469CFC6C)) + whole(b"M\xe9\x03") + whole(b"}")


def _record(levels: int) -> bytes:
    """A joblib array whose type is a record of twice the record below, and so on."""
    states = b""
    for level in range(levels):
        inner = call("numpy", "dtype", text("i1")) if not level else b"h" + bytes([level - 1])
        parts = b"}(" + text("a") + b"(" + inner + b"K\x00t" + text("b") + b"(" + inner + b"K\x00tu"
        state = b"(K\x03" + text("|") + b"N(" + text("a") + text("b") + b"t" + parts + long(1) + b"K\x01K\x00tb"
        states += call("numpy", "dtype", text("V1")) + state + b"q" + bytes([level]) + b"0"
    wrapper = stacked("joblib.numpy_pickle", "NumpyArrayWrapper") + b")R}("
    return wrapper + text("dtype") + states + b"h" + bytes([levels - 1]) + text("shape") + b"K\x01\x85ub"


ONE: dict[str, tuple[str, str, Build]] = {
    # name: (tries, rule, bytes); `runs` is in RUNS
    "reduce": ("a call by REDUCE", "dangerous-name", mkdir),
    "protocol 0": ("the oldest opcodes", "dangerous-name", lambda m: f"cposix\nmkdir\n(V{m}\ntR.".encode()),
    "inst": ("a call by INST", "dangerous-name", lambda m: f"(V{m}\niposix\nmkdir\n.".encode()),
    "obj": ("a call by OBJ", "dangerous-name", lambda m: b"(" + name("posix", "mkdir") + f"V{m}\no.".encode()),
    "newobj_ex": (
        "an instance with keywords, by NEWOBJ_EX",
        "dangerous-name",
        lambda m: whole(stacked("subprocess", "Popen") + b")}" + text("args") + text(m) + b"s\x92"),
    ),
    "names from the memo": (
        "a module and a name that were put away before, in another order",
        "dangerous-name",
        lambda m: whole(text("mkdir") + b"\x940" + text("posix") + b"\x940h\x01h\x00\x93" + text(m) + b"\x85R"),
    ),
    "computed name": (
        "a name that is the result of a call",
        "hidden-name",
        lambda m: whole(call("builtins", "str", text("posix")) + text("mkdir") + b"\x93" + text(m) + b"\x85R"),
    ),
    "extension registry": (
        "a name by its number in copyreg",
        "extension-registry",
        lambda m: whole(
            call("copyreg", "add_extension", text("posix"), text("mkdir"), b"K\xf0") + b"0\x82\xf0" + text(m) + b"\x85R"
        ),
    ),
    "dotted name": (
        "a walk from a known module to another",
        "unknown-name",
        lambda m: whole(call("joblib.numpy_pickle", "os.mkdir", text(m))),
    ),
    "getattr": (
        "a function by getattr",
        "dangerous-name",
        lambda m: whole(
            stacked("builtins", "getattr") + b"(" + call("builtins", "__import__", text("os")) + text("mkdir") + b"tR" + text(m) + b"\x85R"
        ),
    ),
    "result of a call": (
        "a call of what a call gave",
        "odd-call",
        lambda m: whole(
            stacked("builtins", "getattr") + b"(" + call("builtins", "__import__", text("os")) + text("mkdir") + b"tR" + text(m) + b"\x85R"
        ),
    ),
    "exec": ("source code by exec", "dangerous-name", lambda m: whole(call("builtins", "exec", text(source(m))))),
    "eval": (
        "an expression by eval",
        "dangerous-name",
        lambda m: whole(call("builtins", "eval", text(f"__import__('os').mkdir({m!r})"))),
    ),
    "timeit": (
        "source code by a function that is not made for it",
        "dangerous-name",
        lambda m: whole(call("timeit", "timeit", text(source(m)), text("pass"), stacked("time", "perf_counter"), b"K\x01")),
    ),
    "methodcaller": (
        "a method by operator",
        "dangerous-name",
        lambda m: whole(
            call("operator", "methodcaller", text("mkdir"), text(m)) + call("builtins", "__import__", text("os")) + b"\x85R"
        ),
    ),
    "partial": (
        "a function that is bound first and called later",
        "dangerous-name",
        lambda m: whole(call("functools", "partial", stacked("posix", "mkdir"), text(m)) + b")R"),
    ),
    "map": (
        "a function by map, unrolled by a list",
        "dangerous-name",
        lambda m: whole(
            stacked("builtins", "list") + call("builtins", "map", stacked("posix", "mkdir"), b"(" + text(m) + b"t") + b"\x85R"
        ),
    ),
    "pickle in a pickle": (
        "a pickle loaded by the pickle around it",
        "dangerous-name",
        lambda m: whole(call("_pickle", "loads", b"B" + len(mkdir(m)).to_bytes(4, "little") + mkdir(m))),
    ),
    "pickle as a constant": (
        "a pickle among the weights, for somebody to load in his turn",
        "nested-pickle",
        lambda m: pickle.dumps({"weights": mkdir(m)}),
    ),
    "pickle as a text": (
        "the same, written as text",
        "nested-pickle",
        lambda m: pickle.dumps({"weights": mkdir(m).decode("latin-1")}),
    ),
    "cloudpickle": ("a function with its code", "embedded-code", by_value),
    "dill": ("a function with its code", "unknown-name", lambda m: whole(call("dill._dill", "_create_function", text(m)))),
    "code object": ("bytecode", "dangerous-name", lambda m: whole(call("types", "CodeType", text(m)))),
    "marshal": ("bytecode by marshal", "unknown-name", lambda m: whole(call("marshal", "loads", text(m)))),
    "import of code beside": ("a module of the code folder", "unknown-name", lambda _: whole(stacked("hostile_code", "Model"))),
    "import_module": ("any module", "unknown-name", lambda _: whole(call("importlib", "import_module", text("antigravity")))),
    "run_path": ("a file beside the model", "dangerous-name", lambda m: whole(call("runpy", "run_path", text(m)))),
    "native library": ("a library by ctypes", "dangerous-name", lambda m: whole(call("ctypes", "CDLL", text(m)))),
    "network": (
        "a request to elsewhere",
        "dangerous-name",
        lambda _: whole(call("urllib.request", "urlopen", text("http://127.0.0.1:9/"))),
    ),
    "delete": ("a folder to be deleted", "dangerous-name", lambda m: whole(call("shutil", "rmtree", text(m)))),
    "kill": ("a signal to the parent", "dangerous-name", lambda _: whole(call("posix", "kill", b"K\x00", b"K\x00"))),
    "another file": ("a pickle in another place", "dangerous-name", lambda m: whole(call("torch.serialization", "load", text(m)))),
    "homoglyph": (
        "a module that only looks like a known one",
        "unknown-name",
        lambda _: whole(stacked("\u0455klearn.pipeline", "Pipeline")),
    ),
    "zero in a name": ("a name that a reader in C would cut", "unknown-name", lambda _: whole(stacked("os\x00", "mkdir\x1b[2K"))),
    "half a character": ("a name that no text can hold", "unknown-name", lambda _: whole(stacked("os\ud800", "mkdir"))),
    "code in a state": (
        "a state that the library of an honest class executes",
        "unknown-name",
        lambda m: whole(
            stacked("scipy.stats._continuous_distns", "norm_gen") + b")\x81}" + text("_parse_arg_template") + text(source(m)) + b"sb"
        ),
    ),
    "second pickle": ("a pickle behind a harmless one", "dangerous-name", lambda m: pickle.dumps([1]) + mkdir(m)),
    "broken after it": ("a stream that breaks when all is done", "broken-pickle", lambda m: mkdir(m)[:-1] + b"\xff\xff"),
    "patched class": (
        "attributes of a class of scikit-learn, for the whole process",
        "patched-global",
        lambda _: whole(stacked("sklearn.linear_model", "LogisticRegression") + b"N}" + text("predict") + stacked("numpy", "exp") + b"s\x86b"),
    ),
    "bytearray bomb": ("a terabyte from twenty bytes", "bomb", lambda _: whole(call("builtins", "bytearray", long(10**12)))),
    "reconstructed bomb": (
        "the same by way of copyreg",
        "bomb",
        lambda _: whole(
            call("copyreg", "_reconstructor", stacked("builtins", "bytearray"), stacked("builtins", "bytearray"), long(10**12))
        ),
    ),
    "range bomb": (
        "a list of all numbers",
        "bomb",
        lambda _: whole(stacked("builtins", "list") + call("builtins", "range", long(10**11)) + b"\x85R"),
    ),
    "number bomb": (
        "a number of a thousand million digits",
        "bomb",
        lambda _: whole(stacked("builtins", "int") + call("decimal", "Decimal", text("1e999999999")) + b"\x85R"),
    ),
    "fraction bomb": ("the same as a fraction", "bomb", lambda _: whole(call("fractions", "Fraction", text("1e999999999")))),
    "array bomb": (
        "an array of a terabyte",
        "bomb",
        lambda _: whole(call("numpy", "ndarray", b"(" + long(10**6) + long(10**6) + b"t")),
    ),
    "sparse bomb": (
        "a matrix with an index of a terabyte",
        "bomb",
        lambda _: whole(call("scipy.sparse", "csr_matrix", b"(" + long(10**11) + b"K\x01t")),
    ),
    "memo bomb": ("a memo of two thousand million places", "bomb", lambda _: b"\x80\x02Nr\xff\xff\xff\x7f."),
    "frame bomb": ("a constant that says it is an exabyte", "broken-pickle", lambda _: whole(b"\x96" + (1 << 60).to_bytes(8, "little"))),
    "codec": ("a module by the name of a codec", "odd-call", lambda _: whole(call("_codecs", "encode", text("x"), text("idna")))),
    "numpy called": ("a function of numpy on a number that grows", "odd-call", lambda _: whole(call("numpy", "square", long(2**200)))),
    "shared tuples": (
        "a reader that prints, compares or hashes what it finds",
        "odd-call",
        lambda _: whole(stacked("builtins", "object") + SHARED + b"R" + SHARED + b"R}b"),
    ),
    "record of records": ("a reader that walks the type of an array", "broken-pickle", lambda _: whole(_record(30))),
    "endless shape": (
        "a reader that multiplies",
        "broken-pickle",
        lambda _: whole(
            stacked("joblib.numpy_pickle", "NumpyArrayWrapper") + b")R}(" + text("dtype") + call("numpy", "dtype", text("i1"))
            + text("shape") + b"(" + (b"\x8b" + (250_000).to_bytes(4, "little") + b"\x7f" * 250_000) * 60 + b"tub"
        ),
    ),
    "many pickles": ("a reader that copies the rest each time", "bomb", lambda _: b"\x80\x04N." * 100_000),
    "joblib": ("a payload in a file of joblib", "dangerous-name", lambda m: as_joblib(objects(m))),
    "array that is a pickle": ("what joblib skips and pickle runs", "dangerous-name", array_that_is_a_pickle),
}  # fmt: skip
# Those that make the marker when they are loaded, and nothing else.
RUNS = frozenset(
    {
        "reduce",
        "protocol 0",
        "inst",
        "obj",
        "names from the memo",
        "computed name",
        "extension registry",
        "dotted name",
        "getattr",
    }
    | {"result of a call", "exec", "eval", "timeit", "methodcaller", "partial", "map", "pickle in a pickle", "cloudpickle"}
    | {"broken after it", "array that is a pickle", "code in a state"}
)
# What breaks off or is a sum over the file has no one byte.
_NO_BYTE = frozenset({"broken after it", "frame bomb", "record of records", "endless shape", "many pickles"})

RENAMED: dict[str, tuple[str, str, Build]] = {
    "called safetensors": ("model.safetensors", "dangerous-name", mkdir),
    "called onnx": ("model.onnx", "dangerous-name", mkdir),
    "called an image": ("plot.png", "dangerous-name", mkdir),
    "called json": ("config.json", "dangerous-name", mkdir),
    "called a text": ("README.md", "dangerous-name", ONE["protocol 0"][2]),
    "called booster": ("model.ubj", "dangerous-name", mkdir),
    "a mere import in a text": ("notes.txt", "unknown-name", lambda _: b"cantigravity\nfly\n."),
    "npy": ("weights.npy", "dangerous-name", lambda m: as_npy(objects(m))),
    "npz": ("weights.npz", "dangerous-name", lambda m: as_zip(arr_dot_npy=as_npy(objects(m)))),
    "torch": ("model.pt", "dangerous-name", lambda m: as_zip(archive__data_dot_pkl=mkdir(m), archive__version=b"3\n")),
    "torch storage": (
        "model.pt",
        "dangerous-name",
        lambda m: as_zip(archive__data_dot_pkl=whole(b"}"), archive__version=b"3\n", archive__data__0=mkdir(m)),
    ),
    "torch before 1.6": ("model.pth", "dangerous-name", lambda m: TORCH_MAGIC + mkdir(m) + whole(b"]") + b"\x00" * 64),
    "gzip": ("model.pkl.gz", "dangerous-name", lambda m: gzip.compress(mkdir(m), mtime=0)),
    "gzip called text": ("notes.txt", "dangerous-name", lambda m: gzip.compress(mkdir(m), mtime=0)),
    "bz2": ("model.pkl", "dangerous-name", lambda m: bz2.compress(mkdir(m))),
    "xz": ("model.pkl", "dangerous-name", lambda m: lzma.compress(mkdir(m))),
    "lzma": ("model.pkl", "dangerous-name", lambda m: lzma.compress(mkdir(m), format=lzma.FORMAT_ALONE)),
    "zlib twice": ("model.joblib", "dangerous-name", lambda m: zlib.compress(zlib.compress(mkdir(m)))),
    "joblib xz": ("model.joblib", "dangerous-name", lambda m: as_joblib({"a": [objects(m)]}, compress=("xz", 3))),
    "second stream": ("model.pkl", "dangerous-name", lambda m: bz2.compress(pickle.dumps(1)) + bz2.compress(mkdir(m))),
}  # fmt: skip


def _hostile(title: str, tries: str, rule: str, file: str, build: Build, **more: Any) -> Hostile:
    return Hostile(title, "pickles", tries, rule, file, lambda folder, m: a_file(file, build(m))(folder, m), **more)


def _named(folder: Any, marker: str) -> None:
    (folder / "MLmodel").write_text("flavors: {sklearn: {pickled_model: weights.dat}}\n")
    (folder / "weights.dat").write_bytes(b"\x880" + mkdir(marker)[2:])


CLASSES: tuple[Hostile, ...] = (
    *(
        _hostile(title, tries, rule, "model.pkl", build, runs=title in RUNS, at_byte=title not in _NO_BYTE)
        for title, (tries, rule, build) in ONE.items()
    ),
    *(
        _hostile(title, "a payload under the name or in the form of something else", rule, file, build)
        for title, (file, rule, build) in RENAMED.items()
    ),
    Hostile(
        "named by MLmodel", "pickles", "a pickle without the usual beginning or name", "dangerous-name", "weights.dat", _named
    ),
)
