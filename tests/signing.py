"""What a pipeline does before it reports: state a test result and sign it, with nothing of ours."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
TYPE = "application/vnd.in-toto+json"


def new_key(kind: str = "ed25519") -> Private:
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())


def pem(key: Private) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def statement(content: str, report: dict[str, Any], **predicate: Any) -> dict[str, Any]:
    """Return an in-toto statement with a test result about this content."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": content.removeprefix("sha256:")}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "PASSED",
            "configuration": [
                {"name": "suite", "digest": {"gitCommit": "0" * 40}},
                {"name": "load test", "digest": {"gitCommit": "1" * 40}, "annotations": {"countersign.report": report}},
            ],
            "passedTests": ["latency"],
            **predicate,
        },
    }


def sign(said: Any, *keys: Private, keyid: str = "", payload_type: str = TYPE) -> dict[str, Any]:
    """Return the DSSE envelope of a statement; PAE as in the protocol: DSSEv1 SP LEN(type) SP type SP LEN(body) SP body."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    signed = f"DSSEv1 {len(payload_type.encode())} {payload_type} {len(body)} ".encode() + body
    signatures = [
        key.sign(signed) if isinstance(key, ed25519.Ed25519PrivateKey) else key.sign(signed, ec.ECDSA(SHA256())) for key in keys
    ]
    return {
        "payload": base64.b64encode(body).decode(),
        "payloadType": payload_type,
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(each).decode()} for each in signatures],
    }
