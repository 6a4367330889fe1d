"""Secrets are derived and never stored; signatures are those of the Standard Webhooks convention."""

from __future__ import annotations

import base64

from django.conf import LazySettings

from webhooks import signing

# The convention's own example, as its reference libraries test it.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EXAMPLE = {"message_id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "timestamp": 1614265330, "body": b'{"test": 2432232314}'}
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_example_of_the_convention_is_signed_as_it_says() -> None:
    assert signing.signatures([SECRET], **EXAMPLE) == SIGNATURE


def test_two_secrets_give_two_signatures_in_one_header() -> None:
    other = signing.secret_of("salt")
    first, second = signing.signatures([other, SECRET], **EXAMPLE).split(" ")
    assert second == SIGNATURE and first.startswith("v1,") and first != second


def test_every_part_of_what_is_signed_counts() -> None:
    changed = [
        {**EXAMPLE, "message_id": "msg_x"},
        {**EXAMPLE, "timestamp": 1614265331},
        {**EXAMPLE, "body": b'{"test":2432232314}'},
    ]
    assert all(signing.signatures([SECRET], **other) != SIGNATURE for other in changed)


def test_a_secret_is_the_same_for_its_salt_and_key_alone(settings: LazySettings) -> None:
    salt = signing.new_salt()
    secret = signing.secret_of(salt)
    assert secret.startswith("whsec_") and len(base64.b64decode(secret[6:])) == 24
    assert signing.secret_of(salt) == secret != signing.secret_of(signing.new_salt())
    check = signing.check_of(secret)
    settings.SECRET_KEY = "another key, as after a restore without the one before"
    assert signing.secret_of(salt) != secret
    assert signing.check_of(signing.secret_of(salt)) != check
