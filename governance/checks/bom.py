"""Write the components of a model as a bill of materials that other tools read.

Source: CycloneDX 1.6, https://cyclonedx.org/schema/bom-1.6.schema.json (ECMA-424).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from governance.checks.base import Cell


def cyclonedx(rows: Iterable[Sequence[Cell]], *, subject_name: str, subject_version: str, serial: UUID) -> dict[str, Any]:
    """Return a CycloneDX 1.6 document, the same for equal input in whatever order the rows come.

    rows: of the table `components` of the check `dependencies`: (name, version, purl, licence, source, advisories), no two
    with the same first three. serial: one for each document that is handed out. There is no time in it, so that equal
    documents have equal digests. Since nobody followed what the packages need in turn, it calls itself incomplete.
    """
    model = f"model:{subject_name}@{subject_version}"  # no name of a package has a colon, and each purl begins with pkg:
    components = [
        _component(*(str(cell or "") for cell in row[:5])) for row in sorted(rows, key=lambda row: tuple(map(str, row)))
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "machine-learning-model",
                "bom-ref": model,
                "name": subject_name,
                "version": subject_version,
            }
        },
        "components": components,
        "dependencies": [{"ref": model, "dependsOn": [each["bom-ref"] for each in components]}],
        "compositions": [{"aggregate": "incomplete", "dependencies": [model]}],
    }


def _component(name: str, version: str, purl: str, licence: str, source: str) -> dict[str, Any]:
    component: dict[str, Any] = {"type": "library", "bom-ref": purl or f"{name}@{version}", "name": name}
    if version:
        component["version"] = version
    if licence:
        # One identifier is an expression as well, and a list of known identifiers differs from year to year.
        component["licenses"] = [{"expression": licence}]
    if purl:
        component["purl"] = purl
    if source:
        component["properties"] = [{"name": "countersign:source", "value": source}]
    return component
