"""Envelopes as others sign them are verified, and nothing else is."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from governance import attestations
from governance.attestations import Malformed
from tests.signing import new_key, pem, sign, statement

CONTENT = "sha256:" + "ab" * 32
KINDS = ("ed25519", "ecdsa-p256")


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_holds_for_its_key_and_payload_alone(kind: str) -> None:
    key, other = new_key(kind), new_key(kind)
    envelope = sign({"a": 1}, key, keyid="whatever")
    read = attestations.read_envelope(envelope)
    assert attestations.verifying_key(read, [pem(other), pem(key)]) == pem(key)
    assert attestations.verifying_key(read, [pem(other)]) is None and attestations.verifying_key(read, []) is None
    for part in ("payload", "sig"):
        changed = json.loads(json.dumps(envelope))
        holder = changed if part == "payload" else changed["signatures"][0]
        raw = bytearray(base64.b64decode(holder[part]))
        raw[-2] ^= 1
        holder[part] = base64.b64encode(raw).decode()
        assert attestations.verifying_key(attestations.read_envelope(changed), [pem(key)]) is None, part


@pytest.mark.parametrize("kind", KINDS)
def test_what_another_implementation_signs_is_verified(kind: str) -> None:
    signer = CryptoSigner(new_key(kind))  # type: ignore[arg-type]
    theirs = Envelope(b'{"a": 1}', attestations.PAYLOAD_TYPE, {})
    theirs.sign(signer)
    ours = attestations.read_envelope(theirs.to_dict())
    key = signer._private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()  # type: ignore[attr-defined]
    assert attestations.verifying_key(ours, [key]) == key
    again = Envelope.from_dict(ours.as_json())
    assert again.verify([signer.public_key], 1) and again.payload == b'{"a": 1}'


def test_one_of_several_signatures_is_enough_and_both_alphabets_are_read() -> None:
    first, second = new_key(), new_key()
    envelope = sign({"x": "\u00ff\u00fe>>>???"}, first, second)
    assert attestations.verifying_key(attestations.read_envelope(envelope), [pem(second)]) == pem(second)
    safe = {**envelope, "payload": envelope["payload"].replace("+", "-").replace("/", "_"), "more": 1}
    assert attestations.read_envelope(safe) == attestations.read_envelope(envelope)


@pytest.mark.parametrize(
    "change",
    [
        {"payload": "not base64!"},
        {"payload": 1},
        {"payloadType": "text/plain"},
        {"signatures": []},
        {"signatures": [{"keyid": "x"}]},
        {"signatures": [{"sig": "AA"}]},
        {"signatures": [{"sig": "AAAA"}] * 11},
    ],
)
def test_what_is_no_envelope_is_refused(change: dict[str, Any]) -> None:
    good = sign({}, new_key())
    attestations.read_envelope(good)
    with pytest.raises(Malformed):
        attestations.read_envelope({**good, **change})


def test_a_statement_is_read_with_its_report() -> None:
    said = statement(CONTENT, {"check": "x"}, url="https://ci.example.org/7", result="WARNED", warnedTests=["slow"])
    read = attestations.read_statement(json.dumps(said).encode())
    assert read.subjects == {"ab" * 32} and (read.result, read.url, read.report) == (
        "WARNED",
        "https://ci.example.org/7",
        {"check": "x"},
    )


_GOOD = statement(CONTENT, {})
_RESOURCE = {"annotations": {"countersign.report": {}}}


@pytest.mark.parametrize(
    "said",
    [
        {**_GOOD, "_type": "https://in-toto.io/Statement/v0.1"},
        {**_GOOD, "predicateType": "https://slsa.dev/provenance/v1"},
        {**_GOOD, "subject": []},
        {**_GOOD, "predicate": {**_GOOD["predicate"], "result": "passed"}},
        {**_GOOD, "predicate": {**_GOOD["predicate"], "failedTests": ["latency"]}},
        {**_GOOD, "predicate": {**_GOOD["predicate"], "configuration": [{"name": "suite"}]}},
        {**_GOOD, "predicate": {**_GOOD["predicate"], "configuration": [_RESOURCE, _RESOURCE]}},
        {**_GOOD, "predicate": {**_GOOD["predicate"], "configuration": [{"annotations": {"countersign.report": 1}}]}},
        [],
    ],
)
def test_another_statement_is_refused(said: Any) -> None:
    attestations.read_statement(json.dumps(_GOOD).encode())
    with pytest.raises(Malformed):
        attestations.read_statement(json.dumps(said).encode())
    with pytest.raises(Malformed):
        attestations.read_statement(b'{"_type": NaN}')


def test_a_key_has_one_id_whatever_its_text_and_other_keys_are_refused() -> None:
    key = new_key("ecdsa-p256")
    read = attestations.public_key(pem(key))
    assert read.algorithm == "ecdsa-p256" and attestations.public_key(f"\n{pem(key)}\n\n") == read
    assert attestations.public_key(pem(new_key())).algorithm == "ed25519"
    assert read.key_id.startswith("sha256:") and len(read.key_id) == 71
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    others = [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP384R1())]
    for wrong in ("", "x", private, *(pem(other) for other in others)):  # type: ignore[arg-type]
        with pytest.raises(Malformed):
            attestations.public_key(wrong)
