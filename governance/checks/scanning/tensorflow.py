"""Look for operations in a saved graph of TensorFlow that reach beyond it.

Sources: saved_model.proto, meta_graph.proto, graph.proto, function.proto, node_def.proto; TensorFlow, SECURITY.md ("models are programs").
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from governance.checks.base import Finding, Severity
from governance.checks.scanning.keras import embedded_findings
from governance.checks.scanning.limits import Unreadable
from governance.checks.scanning.protobuf import Field, fields, text

_PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc", "NumpyFunction"})
_WRITES = frozenset({"WriteFile", "SaveDataset", "SaveDatasetV2", "WriteRawProtoSummary", "CreateSummaryFileWriter"})
_READS = frozenset(
    {"ReadFile", "MatchingFiles", "WholeFileReader", "WholeFileReaderV2", "LoadDataset", "LoadDatasetV2", "SqlDataset"}
    | {"TextLineReader", "TextLineReaderV2", "TFRecordReader", "TFRecordReaderV2", "FixedLengthRecordReaderV2", "LMDBReader"}
    | {"TextLineDataset", "TFRecordDataset", "FixedLengthRecordDatasetV2", "CSVDataset", "ExperimentalSqlDataset"}
)
_NETWORK = frozenset(
    {"RpcCall", "RpcClient", "RpcServer", "Rpc", "TryRpc", "DebugIdentity", "DebugIdentityV2", "DebugIdentityV3"}
)
_WHAT: tuple[tuple[frozenset[str], Severity, str], ...] = (
    (_PYTHON, "critical", "calls a function of the Python process"),
    (_WRITES, "critical", "writes files"),
    (_READS, "high", "reads files"),
    (_NETWORK, "high", "speaks to other machines"),
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_>]*\Z")


def graph_findings(data: bytes, location: str) -> list[Finding]:
    """Return a finding for each kind of operation that reaches beyond the graph. Raises Unreadable for what is no protobuf."""
    met: dict[str, int] = {}
    for name, at in _operations(data):
        met.setdefault(name, at)
    findings = embedded_findings(data, location)
    for name, at in met.items():
        for names, severity, does in _WHAT:
            if name in names:
                message = f"The operation {name} at byte {at} {does} when the model is asked."
                findings.append(Finding("tensorflow-op", severity, location, message))
    return findings


def _operations(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield the operations, read as a SavedModel and as a bare graph: field 2 of the one is no node of the other."""
    whole = Field(0, 2, 0, 0, len(data))
    for meta in _messages(data, whole, 2):
        for graph in _messages(data, meta, 2):
            yield from _graph(data, graph)
    yield from _graph(data, whole)


def _graph(data: bytes, graph: Field) -> Iterator[tuple[str, int]]:
    for node in _messages(data, graph, 1):
        yield from _node(data, node)
    for library in _messages(data, graph, 2):
        for function in _messages(data, library, 1):
            for node in _messages(data, function, 3):
                yield from _node(data, node)


def _node(data: bytes, node: Field) -> Iterator[tuple[str, int]]:
    for each in _parts(data, node):
        if each.tag == 2 and each.is_message and each.end - each.start < 200 and _NAME.match(name := text(data, each)):
            yield name, each.start


def _messages(data: bytes, outer: Field, tag: int) -> Iterator[Field]:
    return (each for each in _parts(data, outer) if each.tag == tag and each.is_message)


def _parts(data: bytes, outer: Field) -> list[Field]:
    """Return the fields within, or none where the content is no message: it was read as what it is not."""
    if outer.start == 0:
        return list(fields(data))
    try:
        return list(fields(data, outer.start, outer.end))
    except Unreadable:
        return []
