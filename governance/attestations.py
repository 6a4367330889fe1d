"""Signed test results: a DSSE envelope around an in-toto statement, read and verified. No database, no clock.

Sources: DSSE 1.0 (envelope, pre-authentication encoding); in-toto Attestation Framework 1.0 (Statement v1, ResourceDescriptor);
predicate test-result v0.1. As these ask, members that are not known here are passed over.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer._key import SSlibKey
from securesystemslib.signer._signature import Signature

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
# The annotation, of one of the predicate's configurations, that holds the report.
ANNOTATION = "countersign.report"

ED25519, ECDSA_P256 = "ed25519", "ecdsa-p256"


class Malformed(ValueError):
    """It is not what it should be, in words."""


@dataclass(frozen=True)
class PublicKey:
    """A public key in its one form. key_id: ``sha256:`` and the digest of the DER form of its SubjectPublicKeyInfo."""

    key_id: str
    algorithm: str
    pem: str


@dataclass(frozen=True)
class Signed:
    """An envelope's payload and signatures, with the key ids that it claims and that nothing protects."""

    payload: bytes
    payload_type: str
    signatures: tuple[tuple[str, bytes], ...]

    @property
    def payload_digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.payload).hexdigest()}"

    def as_json(self) -> dict[str, Any]:
        """Return the envelope in its JSON form, without what nobody signed or reads."""
        signatures = [{"keyid": key_id, "sig": base64.b64encode(sig).decode()} for key_id, sig in self.signatures]
        return {"payload": base64.b64encode(self.payload).decode(), "payloadType": self.payload_type, "signatures": signatures}


@dataclass(frozen=True)
class TestResult:
    """What a statement says: the SHA-256 of its subjects in hex, the result, and the report it carries."""

    __test__ = False  # no test of ours

    subjects: frozenset[str]
    result: str  # PASSED, WARNED or FAILED
    url: str
    report: Mapping[str, Any]


class _Signature(msgspec.Struct):
    sig: str
    keyid: Annotated[str, msgspec.Meta(max_length=200)] = ""


class _Envelope(msgspec.Struct):
    payload: str
    payloadType: str
    signatures: Annotated[list[_Signature], msgspec.Meta(min_length=1, max_length=10)]


class _Resource(msgspec.Struct):
    digest: dict[str, str] = {}
    annotations: dict[str, Any] = {}


class _Predicate(msgspec.Struct):
    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: list[_Resource]
    url: str = ""
    failedTests: list[str] = []


class _Statement(msgspec.Struct):
    type: str = msgspec.field(name="_type")
    subject: Annotated[list[_Resource], msgspec.Meta(min_length=1)]
    predicateType: str
    predicate: _Predicate


def public_key(pem: str) -> PublicKey:
    """Return a public key, Ed25519 or ECDSA on P-256. Raises Malformed for anything else, private keys included."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise Malformed("it is no public key in PEM form (-----BEGIN PUBLIC KEY-----)") from None
    if isinstance(key, Ed25519PublicKey):
        algorithm = ED25519
    elif isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        algorithm = ECDSA_P256
    else:
        raise Malformed("it is neither an Ed25519 key nor an ECDSA key on the curve P-256")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return PublicKey(f"sha256:{hashlib.sha256(der).hexdigest()}", algorithm, pem)


def read_envelope(given: Mapping[str, Any]) -> Signed:
    """Return an envelope that nobody has verified yet. Raises Malformed."""
    try:
        envelope = msgspec.convert(given, type=_Envelope, strict=True)
        payload = _base64(envelope.payload)
        signatures = tuple((each.keyid, _base64(each.sig)) for each in envelope.signatures)
    except (msgspec.ValidationError, binascii.Error, ValueError) as cause:
        raise Malformed(f"it is no DSSE envelope: {cause}") from None
    if envelope.payloadType != PAYLOAD_TYPE:
        raise Malformed(f"its payloadType is {envelope.payloadType[:100]!r}, not {PAYLOAD_TYPE}")
    return Signed(payload, envelope.payloadType, signatures)


def verifying_key(envelope: Signed, pems: Iterable[str]) -> str | None:
    """Return the first of these keys that one of the signatures was made with over exactly this payload, None if none was.

    The key ids in the envelope are not asked: they are part of nothing that is signed.
    """
    signed = Envelope(envelope.payload, envelope.payload_type, {}).pae()
    for pem in pems:
        key = SSlibKey.from_crypto(load_pem_public_key(pem.encode()))
        for _, sig in envelope.signatures:
            try:
                key.verify_signature(Signature(key.keyid, sig.hex()), signed)
            except UnverifiedSignatureError:
                continue
            return pem
    return None


def read_statement(payload: bytes) -> TestResult:
    """Return what a statement says. Raises Malformed for another type or predicate, and where it contradicts itself."""
    try:
        statement = msgspec.json.decode(payload, type=_Statement, strict=True)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as cause:
        raise Malformed(f"it is no statement with a test result: {cause}") from None
    if statement.type != STATEMENT_TYPE:
        raise Malformed(f"its _type is {statement.type[:100]!r}, not {STATEMENT_TYPE}")
    if statement.predicateType != PREDICATE_TYPE:
        raise Malformed(f"its predicateType is {statement.predicateType[:100]!r}, not {PREDICATE_TYPE}")
    predicate = statement.predicate
    if predicate.failedTests and predicate.result != "FAILED":
        raise Malformed(f"its result is {predicate.result}, and it names tests that failed")
    reports = [each.annotations[ANNOTATION] for each in predicate.configuration if ANNOTATION in each.annotations]
    if len(reports) != 1 or not isinstance(reports[0], dict):
        raise Malformed(f"exactly one entry of predicate.configuration must have the report in its annotation {ANNOTATION}")
    subjects = frozenset(each.digest["sha256"] for each in statement.subject if "sha256" in each.digest)
    return TestResult(subjects, predicate.result, predicate.url, reports[0])


def _base64(text: str) -> bytes:
    """Return the bytes; both alphabets are allowed (DSSE, "Envelope")."""
    return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
