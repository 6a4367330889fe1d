"""Register the public keys that reports of service accounts are verified with, and end them."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.errors import AlreadyExists, Invalid, NotFound
from core.models import User
from governance import attestations
from governance.models import SigningKey


@transaction.atomic
def register_key(
    *, actor: Actor, name: str, public_key: str, owner: str, valid_to: datetime, valid_from: datetime | None = None
) -> SigningKey:
    """Register a key, Ed25519 or ECDSA on P-256 in PEM form, that a service account signs its reports with.

    Raises Invalid for another kind of key or a time that ends before it begins or is over; NotFound for an unknown service account;
    AlreadyExists for a key that is registered, for whomever, since two accounts with one key could not be told apart.
    """
    access.require(actor, Permission.ACCOUNT_MANAGE)
    try:
        key = attestations.public_key(public_key)
    except attestations.Malformed as error:
        raise Invalid(f"The key was not taken: {error}.", code="unsupported_key") from None
    if not name.strip():
        raise Invalid("Give the key a name: it is shown beside what it signed.")
    account = User.objects.filter(username=owner, is_service=True).first()
    if account is None:
        raise NotFound(f"There is no service account {owner!r} to sign with the key.")
    now = timezone.now()
    begins = valid_from or now
    if valid_to <= max(begins, now):
        raise Invalid("A key must be valid for some time to come: valid_to is past, or not after valid_from.", code="never_valid")
    try:
        with transaction.atomic():
            made = SigningKey.objects.create(
                key_id=key.key_id,
                name=name.strip(),
                algorithm=key.algorithm,
                public_key=key.pem,
                owner=account,
                registered_by=actor.username,
                valid_from=begins,
                valid_to=valid_to,
            )
    except IntegrityError:
        raise AlreadyExists(f"The key {key.key_id} is registered already.") from None
    audit.record(
        actor,
        Event.SIGNING_KEY_REGISTERED,
        subject=("signing_key", made.key_id),
        after={
            "name": made.name,
            "owner": owner,
            "algorithm": made.algorithm,
            "public_key": made.public_key,
            "valid_from": begins.isoformat(),
            "valid_to": valid_to.isoformat(),
        },
    )
    return made


@transaction.atomic
def revoke_key(*, actor: Actor, key_id: str, reason: str) -> SigningKey:
    """End a key at once; what was verified with it before stays, and says so. Again, it changes nothing. Raises NotFound, Invalid."""
    access.require(actor, Permission.ACCOUNT_MANAGE)
    if not reason.strip():
        raise Invalid("Say why: what was signed with the key is judged by it.")
    key = SigningKey.objects.select_related("owner").filter(key_id=key_id).first()
    if key is None:
        raise NotFound(f"There is no signing key {key_id!r}.")
    now = timezone.now()
    if SigningKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=now):
        key.revoked_at = now
        audit.record(actor, Event.SIGNING_KEY_REVOKED, subject=("signing_key", key.key_id), reason=reason.strip())
    return key
