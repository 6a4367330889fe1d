"""Look into files of text: settings that name code, code itself, and secrets in any of them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from governance.checks.base import Finding
from governance.checks.scanning import credentials, json_documents, mlmodel, python_code, requirements, templates
from governance.checks.scanning.documents import load_yaml, yaml_findings

_SCRIPT_SUFFIXES = frozenset({".sh", ".bash", ".zsh", ".bat", ".cmd", ".ps1", ".pl", ".rb", ".js", ".r", ".jl", ".lua", ".vbs"})
_YAML_SUFFIXES = frozenset({".yaml", ".yml"})
_TEMPLATE_SUFFIXES = frozenset({".jinja", ".jinja2", ".j2"})
_LONGEST_TEXT = 8 << 20
_IMPORTS_AT_START = re.compile(rb"^import[ \t]", re.MULTILINE)


def text_findings(name: str, data: bytes, location: str) -> tuple[str, list[Finding]]:
    """Return what kind of text it is, and what is wrong with it. Raises Unreadable."""
    suffix = PurePosixPath(name).suffix.lower()
    kind, findings = _by_kind(name, suffix, data, location)
    return kind, [*findings, *credentials.secrets(data, location)]


def _by_kind(name: str, suffix: str, data: bytes, location: str) -> tuple[str, list[Finding]]:
    if requirements.is_settings(name):
        message = f"{name} holds settings of an installer, which can say where packages come from. A model needs none."
        return "settings", [Finding("installer-settings", "high", location, message)]
    if suffix in (".py", ".pyi", ".pyw"):
        return "code", python_code.code_findings(data, name, location)
    if suffix in _SCRIPT_SUFFIXES or data.startswith(b"#!"):
        return "code", [Finding("code", "medium", location, f"{name} is code that comes with the model. Review it.")]
    if suffix == ".pth" and _IMPORTS_AT_START.search(data):
        message = f"{name} would be run by every Python that finds it among its packages."
        return "code", [Finding("code", "high", location, message)]
    if suffix in _YAML_SUFFIXES or name == "MLmodel":
        return "MLmodel" if name == "MLmodel" else "yaml", _yaml(name, data.decode(), location)
    if requirements.is_requirements(name):
        return "requirements", list(requirements.requirements_findings(data[:_LONGEST_TEXT].decode("utf-8", "replace"), location))
    if name == "pyproject.toml":
        return "settings", list(requirements.project_findings(data.decode(), location))
    if suffix in _TEMPLATE_SUFFIXES:
        return "template", list(templates.template_findings(data.decode(), location))
    if json_documents.is_json(suffix, data):
        return "json", json_documents.json_findings(data, location)
    return "text", []


def _yaml(name: str, text: str, location: str) -> list[Finding]:
    findings = yaml_findings(text, location)
    if findings:
        return findings
    parsed = load_yaml(text)
    if name == "MLmodel":
        findings += mlmodel.mlmodel_findings(parsed, location)
    elif name in ("conda.yaml", "conda.yml", "python_env.yaml") or requirements.is_environment(parsed):
        findings += requirements.environment_findings(parsed, location)
    return findings
