"""Models of frameworks that carry code, read other files, need libraries, or say of themselves what is not so."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import Any

from tests.hostile.archives import zipped
from tests.hostile.cases import Hostile, a_file
from tests.hostile.pickles import as_zip, whole
from tests.hostile.protobufs import deep, field, graph, node, onnx, operation, saved_model, tensor

HDF5 = b"\x89HDF\r\n\x1a\n"


def keras(*layers: dict[str, Any], text: str | None = None) -> bytes:
    """The archive that Keras 3 writes."""
    config = text or json.dumps({"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}})
    return zipped(
        ("metadata.json", b'{"keras_version": "3.9.0"}'), ("config.json", config.encode()), ("model.weights.h5", HDF5 + bytes(64))
    )


def layer(name: str, module: str | None = "keras.layers", config: Any = None, **more: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config if config is not None else {}, **more}


LAMBDA = layer("Lambda", config={"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}})


def external_link(target: bytes) -> bytes:
    """A link message of HDF5 with a name, to another file."""
    value = b"\x00" + target + b"\x00/weights\x00"
    return b"\x01\x18\x40\x00" + bytes([len(b"kernel")]) + b"kernel" + struct.pack("<H", len(value)) + value


def external_storage() -> bytes:
    """An object header message of HDF5: this data set lies in the files that the heap names."""
    head = HDF5 + bytes(56)
    message = struct.pack("<HHB3xB3xHHQ", 7, 40, 0, 1, 1, 1, len(head) + 64) + bytes(24)
    return head + message.ljust(64, b"\x00") + b"HEAP" + bytes(28) + b"/etc/passwd\x00"


def safetensors(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def two_tensors(first: tuple[int, int], second: tuple[int, int]) -> bytes:
    header = {
        n: {"dtype": "U8", "shape": [e - b], "data_offsets": [b, e]} for n, (b, e) in zip("ab", (first, second), strict=True)
    }
    return safetensors(json.dumps(header).encode(), bytes(max(first[1], second[1])))


def gguf(pairs: dict[str, str], *, tensors: int = 0, counted: int | None = None) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, tensors, len(pairs) if counted is None else counted)
    texts = ((key.encode(), value.encode()) for key, value in pairs.items())
    return head + b"".join(struct.pack("<Q", len(k)) + k + struct.pack("<IQ", 8, len(v)) + v for k, v in texts)


def arrow_with_a_pickle() -> bytes:
    import pyarrow as pa

    schema = pa.schema([pa.field("a", pa.int64(), metadata={"ARROW:extension:name": "arrow.py_extension_type"})])
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.table({"a": [1]}, schema=schema))
    return sink.getvalue()


def parquet_with_a_pickle() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([pa.field("a", pa.int64(), metadata={"ARROW:extension:name": "arrow.py_extension_type"})])
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}, schema=schema), sink)
    return sink.getvalue()


def skops_of_a_stranger() -> bytes:
    import skops.io

    made = skops.io.dumps({"a": 1})
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        schema = json.loads(archive.read("schema.json"))
    schema["content"]["a"] = {
        "__class__": "Popen",
        "__module__": "subprocess",
        "__loader__": "ObjectNode",
        "content": None,
        "__id__": 7,
    }
    return zipped(("schema.json", json.dumps(schema).encode()))


def skops_with_two_schemas() -> bytes:
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps({"a": 1}))) as archive:
        schema = archive.read("schema.json").decode()
    return zipped(("schema.json", schema.replace("{", '{"__class__": "system", "__module__": "os", ', 1).encode()))


ESCAPED = json.dumps(layer("Lambda")).replace("Lambda", "L\\u0061mbda")

Spec = tuple[str, str, str, Callable[[], bytes]]
FILES: dict[str, Spec] = {
    # name: (tries, rule, file, bytes)
    "Keras Lambda": ("code as a layer", "keras-lambda", "model.keras", lambda: keras(LAMBDA)),
    "Keras module": ("any function by its module", "keras-module", "model.keras", lambda: keras(layer("function", "subprocess", "Popen"))),
    "Keras own function": ("a function of Keras that switches its safety off", "keras-module", "model.keras", lambda: keras(layer("function", "keras.config", "enable_unsafe_deserialization"))),
    "Keras vocabulary": ("a file of the host as a vocabulary", "external-file", "model.keras", lambda: keras(layer("StringLookup", config={"vocabulary": "/etc/passwd"}))),
    "Keras class of the author": ("a class of the author's own", "keras-custom", "model.keras", lambda: keras(layer("Mine", None, registered_name="Custom>Mine"))),
    "Keras Lambda in letters": ("the same so that nobody sees it", "keras-lambda", "model.keras", lambda: keras(text=ESCAPED)),
    "Keras file operation": ("a file by an operation as a layer", "tensorflow-op", "model.json", lambda: json.dumps(layer("TFOpLambda", config={"function": "io.write_file"})).encode()),
    "HDF5 Lambda": ("code as a layer, in the old format", "keras-lambda", "model.h5", lambda: HDF5 + bytes(80) + json.dumps(LAMBDA).encode() + bytes(9)),
    "HDF5 link": ("weights that are another file", "external-file", "model.h5", lambda: HDF5 + bytes(80) + external_link(b"/etc/passwd") + bytes(9)),
    "HDF5 storage": ("the same by another way", "external-file", "model.h5", external_storage),
    "TensorFlow WriteFile": ("a file of the host, written", "tensorflow-op", "saved_model.pb", lambda: saved_model("Placeholder", "WriteFile")),
    "TensorFlow ReadFile": ("a file of the host, read", "tensorflow-op", "saved_model.pb", lambda: saved_model("ReadFile")),
    "TensorFlow PyFunc": ("a function of the process", "tensorflow-op", "saved_model.pb", lambda: saved_model("EagerPyFunc")),
    "TensorFlow function": ("the same in a function of the graph", "tensorflow-op", "tf/saved_model.pb", lambda: saved_model("WriteFile", in_function=True)),
    "TensorFlow graph": ("the same in a bare graph", "tensorflow-op", "frozen.pb", lambda: field(1, operation("WriteFile"))),
    "TensorFlow Lambda": ("code as a layer, in the data of Keras", "keras-lambda", "keras_metadata.pb", lambda: field(1, json.dumps(LAMBDA))),
    "ONNX data outside": ("a file of the host as weights", "external-data", "model.onnx", lambda: onnx(graph(initializers=(tensor(4, location="../../../etc/passwd"),)))),
    "ONNX data at a path": ("the same by an absolute path", "external-data", "model.onnx", lambda: onnx(graph(initializers=(tensor(4, location="/etc/passwd"),)))),
    "ONNX data in a subgraph": ("the same, deep inside", "external-data", "model.onnx", lambda: onnx(graph(node("If", attributes=field(5, field(6, graph(initializers=(tensor(4, location="../x"),)))))))),
    "ONNX data in a constant": ("the same as an attribute", "external-data", "model.onnx", lambda: onnx(graph(node("Constant", attributes=field(5, field(5, tensor(4, location="../x"))))))),
    "ONNX data that is missing": ("weights that come later", "external-data", "model.onnx", lambda: onnx(graph(initializers=(tensor(4, location="model.data"),)))),
    "ONNX custom operator": ("a library of code", "custom-operator", "model.onnx", lambda: onnx(graph(node("PyOp", "ai.onnx.contrib")))),
    "ONNX custom operator in a function": ("the same, inside", "custom-operator", "model.onnx", lambda: onnx(graph(), field(25, field(1, "F") + field(10, "mine") + field(7, node("Run", "evil"))))),
    "ONNX graphs without end": ("a reader that calls itself", "bomb", "model.onnx", lambda: onnx(deep(60))),
    "ONNX tensor of an exabyte": ("memory without end", "bomb", "model.onnx", lambda: onnx(graph(initializers=(tensor(1 << 40, 1 << 20),)))),
    "ONNX that is none": ("a reader that trips", "unreadable", "model.onnx", lambda: b"\xff\xff\xff\xff"),
    "safetensors that overlap": ("one tensor over another", "unreadable", "model.safetensors", lambda: two_tensors((0, 8), (4, 12))),
    "safetensors with a gap": ("bytes that nobody looks into", "unreadable", "model.safetensors", lambda: two_tensors((0, 4), (8, 12))),
    "safetensors with a long header": ("a reader that takes what it is told", "unreadable", "model.safetensors", lambda: (1 << 40).to_bytes(8, "little") + b"{}"),
    "safetensors with a name twice": ("one tensor for the reviewer, another for the loader", "unreadable", "model.safetensors", lambda: safetensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4))),
    "safetensors of another shape": ("memory beyond the file", "unreadable", "model.safetensors", lambda: safetensors(b'{"a":{"dtype":"F64","shape":[999999],"data_offsets":[0,8]}}', bytes(8))),
    "safetensors of negative size": ("memory before the file", "unreadable", "model.safetensors", lambda: safetensors(b'{"a":{"dtype":"U8","shape":[8],"data_offsets":[-8,0]}}')),
    "npy of another shape": ("memory beyond the file", "unreadable", "weights.npy", lambda: _npy("(1000000, 1000000)")),
    "npy of negative size": ("a reader that trips", "unreadable", "weights.npy", lambda: _npy("(-1, -1)", bytes(8))),
    "npy with code as header": ("a reader that evaluates", "unreadable", "weights.npy", lambda: _npy("__import__('os')")),
    "GGUF template": ("code in a chat template", "template-injection", "model.gguf", lambda: gguf({"tokenizer.chat_template": "{{ ''.__class__.__base__.__subclasses__() }}"})),
    "GGUF with hidden underscores": ("the same so that nobody sees it", "template-injection", "model.gguf", lambda: gguf({"tokenizer.chat_template.x": "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}"})),
    "GGUF that counts too far": ("memory beyond the file", "unreadable", "model.gguf", lambda: gguf({}, counted=1 << 60)),
    "GGUF with too many tensors": ("the same", "unreadable", "model.gguf", lambda: gguf({"a": "b"}, tensors=1 << 50)),
    "TorchScript": ("a program in an archive", "code", "model.pt", lambda: as_zip(m__data_dot_pkl=whole(b"}"), m__version=b"3", m__constants_dot_pkl=whole(b")"), m__code__a_dot_py=b"def forward(self): pass\n")),
    "R": ("a promise, which runs when it is read", "r-serialization", "model.rds", lambda: b"X\n\x00\x00\x00\x03" + bytes(30)),
    "R, compressed": ("the same", "r-serialization", "model.rds", lambda: __import__("gzip").compress(b"RDX3\nX\n\x00\x00\x00\x03", mtime=0)),
    "Arrow type": ("a pickle as the type of a column", "embedded-pickle", "rows.arrow", arrow_with_a_pickle),
    "Parquet type": ("the same in Parquet", "embedded-pickle", "rows.parquet", parquet_with_a_pickle),
    "Parquet that is none": ("a reader that trips", "unreadable", "rows.parquet", lambda: b"PAR1" + b"\xff" * 8 + b"PAR1"),
    "library": ("code of the machine", "native-code", "lib/ops.so", lambda: b"\x7fELF\x02\x01\x01" + bytes(20)),
    "library by another name": ("the same", "native-code", "weights.bin", lambda: b"\x7fELF\x02\x01\x01" + bytes(20)),
    "library of Windows": ("the same", "native-code", "weights.dat", lambda: b"MZ\x90\x00" + bytes(60)),
    "jar": ("code of Java", "native-code", "model.jar", lambda: zipped(("A.class", b"\xca\xfe\xba\xbe"))),
    "class in an archive": ("the same inside", "native-code", "model.zip", lambda: zipped(("A", b"\xca\xfe\xba\xbe\x00"))),
    "WebAssembly": ("code of a browser", "native-code", "weights.bin", lambda: b"\x00asm\x01\x00\x00\x00"),
    "bytecode": ("code of Python", "native-code", "code/__pycache__/a.pyc", lambda: b"\xa7\r\r\n" + bytes(12)),
    "bytecode by another name": ("the same", "native-code", "weights.bin", lambda: b"\xa7\r\r\n" + bytes(12)),
    "booster that is too long": ("memory beyond the file", "unreadable", "model.ubj", lambda: b"{L" + (7).to_bytes(8, "big") + b"learner[$d#L" + (1 << 50).to_bytes(8, "big")),
    "booster that is deep": ("a reader that calls itself", "bomb", "model.ubj", lambda: b"{U\x01a" + b"[" * 100),
    "skops type": ("a class that is no part of a model", "untrusted-type", "model.skops", skops_of_a_stranger),
    "skops with a key twice": ("one schema for the reviewer, another for the loader", "unreadable", "model.skops", skops_with_two_schemas),
    "skops without a schema": ("a reader that guesses", "unreadable", "model.skops", lambda: zipped(("a.npy", b""))),
    "unknown format": ("what nobody looks into", "unknown-format", "weights.bin", lambda: b"\x01\x02\xff\xfe" * 9),
}  # fmt: skip


def _npy(shape: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def _hostile(name: str, spec: Spec) -> Hostile:
    tries, rule, file, build = spec
    return Hostile(name, "frameworks", tries, rule, file, lambda folder, marker: a_file(file, build())(folder, marker))


CLASSES: tuple[Hostile, ...] = tuple(_hostile(name, spec) for name, spec in FILES.items())
