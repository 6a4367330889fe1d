"""A Redis that is away does not keep whoever tells workers of a job waiting."""

from __future__ import annotations

import time

import pytest
from kombu import Connection
from kombu.exceptions import OperationalError

from config.settings import REDIS_OPTIONS
from scripts.stack import free_port


def test_a_redis_that_is_away_is_found_out_at_once() -> None:
    began = time.monotonic()
    with (
        Connection(f"redis://127.0.0.1:{free_port()}/0", transport_options=REDIS_OPTIONS) as away,
        pytest.raises(OperationalError),
    ):
        away.default_channel.queue_declare("work")
    assert time.monotonic() - began < 2.0
