"""The same settings for tests, in a home of their own."""

from __future__ import annotations

import os

os.environ.setdefault("COUNTERSIGN_HOME", "var/test")

from config.settings import *  # noqa: F403
from config.settings import DATABASES

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES["default"]["CONN_MAX_AGE"] = 0
ALLOWED_HOSTS = ["*"]
