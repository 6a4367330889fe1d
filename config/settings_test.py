"""The same settings for tests, in a home of their own."""

from __future__ import annotations

import os

os.environ.setdefault("COUNTERSIGN_HOME", "var/test")

from config.settings import *  # noqa: F403
from config.settings import DATABASES

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES["default"]["CONN_MAX_AGE"] = 0
ALLOWED_HOSTS = ["*"]
# Each test process counts wrong passwords for itself, and time can be moved, which a Redis of its own clock would not follow.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
