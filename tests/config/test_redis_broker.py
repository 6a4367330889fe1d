"""A Redis that is away keeps nobody waiting, and one that is lost ends no worker."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

import config.celery  # noqa: F401  # where the transports are named
from config.settings import REDIS_OPTIONS
from scripts.stack import free_port
from tests.journeys.faults import Redis


def test_a_redis_that_is_away_is_found_out_at_once() -> None:
    began = time.monotonic()
    with (
        Connection(f"redis://127.0.0.1:{free_port()}/0", transport_options=REDIS_OPTIONS) as away,
        pytest.raises(OperationalError),
    ):
        away.default_channel.queue_declare("work")
    assert time.monotonic() - began < 2.0


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server to kill")
def test_a_connection_lost_while_it_waits_and_holds_a_message_is_closed_without_a_fault(tmp_path: Path) -> None:
    server = Redis(tmp_path)
    connection = Connection(server.url, transport_options=REDIS_OPTIONS)
    channel = connection.default_channel
    Queue("work", Exchange("work"), "work")(channel).declare()
    channel.basic_publish(channel.prepare_message("1", properties={"delivery_mode": 2}), "work", "work")
    held = channel.basic_get("work")
    channel.basic_consume("work", no_ack=False, callback=print, consumer_tag="waiting")
    channel.client.connection = channel.client.connection_pool.get_connection()
    channel._brpop_start()  # as an event loop does
    # Closed first, it fails at what it was to tidy, and the channel that holds the message is not reached.
    Queue("told", Exchange("told", type="fanout"), auto_delete=True)(connection.channel()).declare()
    server.kill()
    connection.collect(socket_timeout=1)  # as Celery's worker does
    connection.close()
    with pytest.raises(RedisConnectionError):
        held.ack()
