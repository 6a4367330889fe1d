"""Protocol Buffers by hand, and with them the smallest models of ONNX and TensorFlow."""

from __future__ import annotations


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(tag: int, content: bytes | str | int) -> bytes:
    """One field: a number as varint, all else with its length."""
    if isinstance(content, int):
        return varint(tag << 3) + varint(content)
    content = content.encode() if isinstance(content, str) else content
    return varint(tag << 3 | 2) + varint(len(content)) + content


def tensor(*dimensions: int, location: str | None = None, raw: bytes = b"") -> bytes:
    """TensorProto of float32."""
    sizes = b"".join(field(1, each) for each in dimensions)
    if location is None:
        return sizes + field(2, 1) + field(8, "w") + field(9, raw)
    entry = field(13, field(1, "location") + field(2, location))
    return sizes + field(2, 1) + field(8, "w") + entry + field(14, 1)


def node(operator: str, domain: str = "", attributes: bytes = b"") -> bytes:
    """NodeProto."""
    return field(1, "x") + field(2, "y") + field(4, operator) + attributes + (field(7, domain) if domain else b"")


def graph(*nodes: bytes, initializers: tuple[bytes, ...] = ()) -> bytes:
    """GraphProto."""
    named = b"".join(field(1, each) for each in nodes) + field(2, "graph")
    return named + b"".join(field(5, each) for each in initializers)


def onnx(content: bytes, more: bytes = b"") -> bytes:
    """ModelProto: version, producer, graph, and the version of its operators."""
    return field(1, 10) + field(2, "hand") + field(7, content) + field(8, field(1, "") + field(2, 21)) + more


def deep(levels: int) -> bytes:
    """A graph in an attribute of a node of a graph in an attribute, and so on."""
    inner = graph(node("Identity"))
    for _ in range(levels):
        inner = graph(node("If", attributes=field(5, field(1, "then_branch") + field(6, inner))))
    return inner


def operation(name: str) -> bytes:
    """NodeDef of TensorFlow."""
    return field(1, "n") + field(2, name)


def saved_model(*operations: str, in_function: bool = False) -> bytes:
    """SavedModel of TensorFlow with one graph."""
    nodes = b"".join(field(3 if in_function else 1, operation(each)) for each in operations)
    content = field(2, field(1, field(1, field(1, "f")) + nodes)) if in_function else nodes
    return field(1, 1) + field(2, field(1, field(4, "serve")) + field(2, content))
