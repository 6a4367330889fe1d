"""Django's settings, all from the environment (``config.environment`` lists what may be given)."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import Any

from config.environment import BASE_DIR, Environment

ENV = Environment()
PRODUCTION = ENV.production
HOME: Path = ENV.home

for _folder in (HOME, HOME / "broker", HOME / "logs", HOME / "staticfiles"):
    _folder.mkdir(parents=True, exist_ok=True)


def _local_secret_key() -> str:
    """One key per home, made at the first start: sessions outlive a restart, and no key is ever shipped."""
    path = HOME / "secret_key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


SECRET_KEY = ENV["SECRET_KEY"] or _local_secret_key()
DEBUG = False
ALLOWED_HOSTS = ENV["ALLOWED_HOSTS"] or ["localhost", "127.0.0.1", "[::1]"]
PUBLIC_URL: str = ENV["PUBLIC_URL"].rstrip("/")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "guardian",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "core",
    "artifacts",
    "tracking",
    "registry",
    "webhooks",
    "governance",
    "workflows",
    "interfaces",
    "interfaces.rest",
    "interfaces.web",
]

MIDDLEWARE = [
    "interfaces.request_context.RequestContextMiddleware",
    "interfaces.health.HealthMiddleware",
    # Everything below serves pages and the REST API; the MLflow dialect answers before it (see interfaces.dialects).
    "interfaces.dialects.MlflowMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "interfaces.web.content_policy.ContentPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "interfaces.web.context.shell",
            ],
        },
    }
]


def _database() -> dict[str, Any]:
    given = ENV["DATABASE_URL"]
    if given:
        # A pool bounds connections where threads come and go (Celery, tests). The threads of the application server stay, and
        # each keeps its own: taking one from a pool and giving it back would be a seventh of a small request.
        size = ENV["DATABASE_POOL_SIZE"]
        given["ENGINE"] = "django.db.backends.postgresql"
        given["CONN_MAX_AGE"] = 0 if size else None
        given["OPTIONS"] = {
            **({"pool": {"min_size": 1, "max_size": size, "timeout": 20}} if size else {}),
            # A statement's text must be the same each time to be prepared: so its values travel apart from it.
            "prepare_threshold": 1,
            "server_side_binding": True,
        }
        return dict(given)
    return {
        "ENGINE": "core.sqlite",
        "NAME": HOME / "countersign.sqlite3",
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # IMMEDIATE takes the write lock at BEGIN: with DEFERRED, two writers that read first fail with "locked" at once.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # FULL: a register may not lose its last commits at power failure. No mmap_size: each commit of another process has SQLite
            # throw the whole mapping away.
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536; PRAGMA foreign_keys=ON;"
            ),
        },
        # A file, so that live-server tests and workers see the same database as the tests.
        "TEST": {"NAME": HOME / "test.sqlite3"},
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"
USE_TZ = True
LANGUAGE_CODE = "en"
USE_I18N = False

AUTH_USER_MODEL = "core.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "guardian.backends.ObjectPermissionBackend"]
ANONYMOUS_USER_NAME = None  # guardian's; nobody is never given a right
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "web:sign-in"
LOGIN_REDIRECT_URL = "web:home"
LOGOUT_REDIRECT_URL = "web:sign-in"
TOKEN_DAYS: int = ENV["TOKEN_DAYS"]

CSRF_FAILURE_VIEW = "interfaces.web.errors.csrf_failed"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PRODUCTION else None
SECURE_SSL_REDIRECT = False  # the proxy in front redirects; health probes inside speak plain HTTP
X_FRAME_OPTIONS = "DENY"

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles" if PRODUCTION else HOME / "staticfiles"  # collected when an image is built
STATICFILES_DIRS = [BASE_DIR / "interfaces" / "web" / "static"]
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024

ARTIFACT_ROOT: str = ENV["ARTIFACT_ROOT"] or str(HOME / "artifacts")
S3_ENDPOINT_URL: str = ENV["S3_ENDPOINT_URL"]
DATASET_SOURCES: list[str] = ENV["DATASET_SOURCES"]

SANDBOX: str = ENV["SANDBOX"]
SANDBOX_ALLOW_PROCESS: bool = ENV["SANDBOX_ALLOW_PROCESS"] or not PRODUCTION
SANDBOX_MEMORY_BYTES: int = ENV["SANDBOX_MEMORY_MB"] * 1024 * 1024
SANDBOX_WALL_SECONDS: int = ENV["SANDBOX_WALL_SECONDS"]
MODEL_ENVIRONMENTS: str = ENV["MODEL_ENVIRONMENTS"]
MODEL_INDEX_URL: str = ENV["MODEL_INDEX_URL"]
_OWN_UV = BASE_DIR / ".venv-uv" / "bin" / "uv"  # where the project's installer keeps it
UV_PROGRAM: str = shutil.which("uv") or (str(_OWN_UV) if _OWN_UV.exists() else "")

WEBHOOKS_ALLOW_PRIVATE: bool = ENV["WEBHOOKS_ALLOW_PRIVATE"] or not PRODUCTION

# Mail follows up what the app tells (workflows.mail); without a server none is attempted, and nothing tries to reach one.
MAIL_ENABLED: bool = bool(ENV["EMAIL_URL"])
_MAIL: dict[str, Any] = ENV["EMAIL_URL"] or {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
EMAIL_BACKEND: str = _MAIL["EMAIL_BACKEND"]
EMAIL_HOST: str = _MAIL.get("EMAIL_HOST", "")
EMAIL_PORT: int = _MAIL.get("EMAIL_PORT", 0)
EMAIL_HOST_USER: str = _MAIL.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD: str = _MAIL.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS: bool = _MAIL.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL: bool = _MAIL.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL: str = ENV["EMAIL_FROM"] or "countersign@localhost"

CELERY_BROKER_URL = ENV["CELERY_BROKER_URL"] or "filesystem://"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Without a Redis, Kombu would try for seconds at each message, in the middle of a person's request; the sweeper tells workers later.
REDIS_OPTIONS: dict[str, Any] = {
    "visibility_timeout": 3600,
    "max_retries": 1,
    "interval_start": 0.0,
    "interval_step": 0.0,
    "socket_connect_timeout": 5,
}
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {
        "data_folder_in": str(HOME / "broker" / "messages"),
        "data_folder_out": str(HOME / "broker" / "messages"),
        "control_folder": str(HOME / "broker" / "control"),
        # Without it each message passes through the system's temporary folder, which may be another disk.
        "store_processed": True,
        "processed_folder": str(HOME / "broker" / "processed"),
        "polling_interval": 0.05,
    }
    if CELERY_BROKER_URL.startswith("filesystem")
    else REDIS_OPTIONS
)
if CELERY_BROKER_URL.startswith("filesystem"):
    for _name in ("messages", "control", "processed"):
        (HOME / "broker" / _name).mkdir(exist_ok=True)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "countersign"
JOB_LEASE_SECONDS: int = ENV["JOB_LEASE_SECONDS"]
# What takes minutes has workers of its own, or approvals and the ledger would wait behind it.
# What waits for servers outside has them too, since how long it waits is theirs to choose.
JOB_QUEUES: dict[str, str] = {"webhooks.deliver": "webhooks"}
# Check runs go where their resource class leads (governance.commands.checks), and are taken up by election (workflows.election).
CHECK_QUEUES: dict[str, str] = {"light": "checks-light", "cpu": "checks-cpu", "gpu": "checks-gpu"}
CHECK_LIGHT_BYTES: int = ENV["CHECK_LIGHT_MB"] * 1024 * 1024
CHECK_PARTITION_ROWS: int = ENV["CHECK_PARTITION_ROWS"]
CHECKS_PER_MODEL: int = ENV["CHECKS_PER_MODEL"]
CHECKS_PER_TEAM: int = ENV["CHECKS_PER_TEAM"]
CELERY_TIMEZONE = "UTC"

# Counts of wrong passwords (interfaces.throttle): of every worker where there is a Redis, else of this process.
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CELERY_BROKER_URL,
        "KEY_PREFIX": "countersign",
    }
    if CELERY_BROKER_URL.startswith(("redis://", "rediss://"))
    else {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        # With Django's 300, trying made-up names would push the counts of real ones out.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "interfaces.rest.authentication.CredentialAuthentication",
        "interfaces.rest.authentication.SignedInAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "interfaces.rest.errors.problem",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Countersign",
    "DESCRIPTION": "Model registry with governance and an approval workflow.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {
        "docExpansion": "none",
        "deepLinking": True,
    },  # a hundred and more operations take long to draw at once
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_AUTHENTICATION": [
        "interfaces.rest.authentication.SignedInAuthentication",
        "interfaces.rest.authentication.CredentialAuthentication",
    ],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": ENV["LOG_LEVEL"]},
    "loggers": {
        "django.request": {"level": "ERROR"},
        # Two lines for each message would bury what matters; beat alone sends one every few seconds.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
