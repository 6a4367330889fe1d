"""The broker Redis, made safe for being lost: Kombu's asks a connection that was closed already where its server is.

A worker that loses its Redis closes its connection twice. If it was waiting for a message and holds another, the second time it fails
with an error that is not taken for a lost connection, and the worker ends instead of connecting anew. So does one that acknowledges a
message which came over such a connection.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(redis.Channel):
    """Kombu's channel, for which a closed connection is a lost one."""

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the connection to the broker is closed")
        return super()._connparams(asynchronous=asynchronous)


class Transport(redis.Transport):
    """Kombu's transport with our channel."""

    Channel = Channel
