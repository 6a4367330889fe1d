"""Judge the layers and functions that a configuration of Keras names: some of them are code.

Sources: Keras, "Serialize and deserialize" (module, class_name, registered_name); CVE-2024-3660 (Lambda), CVE-2025-1550 (any
module), CVE-2025-9906 (functions of Keras that switch its safety off), CVE-2025-12058 (vocabularies that are files).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from governance.checks.base import Finding
from governance.checks.scanning.documents import shown

_LAMBDAS = frozenset({"Lambda", "__lambda__", "Keras>Lambda"})
_OWN = re.compile(r"(tensorflow\.(python\.)?)?(keras|tf_keras|keras_core|keras_nlp|keras_hub|keras_cv)(\.|\Z)")
_FUNCTIONS = re.compile(r".*\b(activations|losses|metrics|initializers|regularizers|constraints|ops)\b")
_OPS_WITH_FILES = re.compile(r"(io|raw_ops|py_function|numpy_function|data|summary|saved_model|load_library)\b")
_LAMBDA_IN_BYTES = re.compile(rb'"class_name"\s*:\s*"(?:Keras>)?(?:Lambda|__lambda__)"')


def layer_findings(parsed: dict[str, Any], location: str) -> Iterator[Finding]:
    """Yield findings on one object of the configuration, which names a class or is something else."""
    name, module, config = parsed.get("class_name"), parsed.get("module"), parsed.get("config")
    if not isinstance(name, str):
        return
    if name in _LAMBDAS:
        yield lambda_finding(location)
    if isinstance(module, str) and module and not _OWN.match(module) and name not in ("__tensor__", "__numpy__", "slice"):
        message = f"Loading imports {shown(name)} from {shown(module)}, which is not a part of Keras."
        yield Finding("keras-module", "critical", location, message)
    elif name == "function" and isinstance(module, str) and not _FUNCTIONS.match(module):
        message = f"Loading calls for the function {shown(config)} of {shown(module)}, which is no part of a layer."
        yield Finding("keras-module", "critical", location, message)
    registered = parsed.get("registered_name")
    if isinstance(registered, str) and ">" in registered and not registered.lower().startswith("keras"):
        message = f"{shown(registered)} is a class of the author's own, whose code must come from somewhere. Review it."
        yield Finding("keras-custom", "medium", location, message)
    if isinstance(config, dict):
        yield from _config(name, config, location)


def _config(name: str, config: dict[str, Any], location: str) -> Iterator[Finding]:
    vocabulary = config.get("vocabulary")
    if isinstance(vocabulary, str) and vocabulary:
        message = f"{name[:100]} reads its vocabulary from {shown(vocabulary)}, a file or an address."
        yield Finding("external-file", "high", location, message)
    function = config.get("function")
    if name == "TFOpLambda" and isinstance(function, str) and _OPS_WITH_FILES.match(function):
        message = f"A layer calls {shown(function)} of TensorFlow, which reaches beyond the model."
        yield Finding("tensorflow-op", "high", location, message)


def lambda_finding(location: str) -> Finding:
    """Return the finding on a Lambda layer."""
    message = "A Lambda layer is Python code, which runs when the model is loaded or asked. Use a layer of Keras instead."
    return Finding("keras-lambda", "critical", location, message)


def embedded_findings(data: bytes, location: str) -> list[Finding]:
    """Return a finding if a configuration within other bytes names a Lambda layer."""
    return [lambda_finding(location)] if _LAMBDA_IN_BYTES.search(data) else []
