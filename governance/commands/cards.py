"""Write model cards."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import IntegrityError, transaction

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.canonical import digest
from core.errors import Conflict, Invalid, NotFound
from governance.models import ModelCard
from registry.models import ModelVersion


@transaction.atomic
def write_card(*, actor: Actor, model_name: str, version: int, sections: Mapping[str, str]) -> ModelCard:
    """Write the next revision of a version's model card; sections not given are gone from it.

    Raises Invalid for a section that is not text, NotFound for a version that is absent or hidden.
    """
    subject = _version(actor, model_name, version)
    access.require(actor, Permission.MODEL_WRITE, subject.model)
    for name, text in sections.items():
        if not isinstance(text, str) or not name.replace("_", "").isalnum() or len(text) > 50_000:
            raise Invalid(
                f"The section {name!r} must be a name of letters, digits and _ with a text of at most 50,000 characters."
            )
    value = digest({"sections": dict(sections)})
    latest = subject.cards.order_by("-revision").first()
    if latest is not None and latest.digest == value:
        return latest
    try:
        with transaction.atomic():
            card = ModelCard.objects.create(
                version=subject,
                revision=latest.revision + 1 if latest else 1,
                sections=dict(sections),
                digest=value,
                written_by_id=actor.user_id,
            )
    except IntegrityError:
        raise Conflict("Someone else wrote the card just now; read it and write again.") from None
    audit.record(
        actor,
        Event.CARD_WRITTEN,
        subject=("model_version", f"{model_name}/{version}"),
        scope=f"model:{subject.model_id}",
        before={"digest": latest.digest} if latest else None,
        after={"revision": card.revision, "digest": value, "sections": sorted(sections)},
    )
    return card


def _version(actor: Actor, model_name: str, number: int) -> ModelVersion:
    rows = ModelVersion.objects.select_related("model").filter(
        model__name=model_name, model__deleted_at__isnull=True, number=number, deleted_at__isnull=True
    )
    found = access.visible(actor, rows, Permission.MODEL_READ, "model").first()
    if found is None:
        raise NotFound(f"There is no version {number} of {model_name!r}, or you may not see it.")
    return found
