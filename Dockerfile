# Two images from one file: `server` (web, worker, beat, migrate) and `worker` (runs checks: with what they need, and their sandbox).
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements/uv.txt requirements/uv.txt
RUN pip install --no-cache-dir --require-hashes --requirement requirements/uv.txt \
    && python -m venv --without-pip /opt/venv
COPY requirements/server.txt requirements/server.txt
RUN uv pip sync --no-cache --require-hashes --compile-bytecode --python /opt/venv/bin/python requirements/server.txt

FROM build AS build-worker
COPY requirements/worker.txt requirements/worker.txt
RUN uv pip sync --no-cache --require-hashes --compile-bytecode --python /opt/venv/bin/python requirements/worker.txt

FROM python:3.11-slim AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    COUNTERSIGN_HOME=/home/countersign/home
RUN useradd --create-home --uid 10001 countersign \
    && mkdir -p /home/countersign/home/environments /home/countersign/artifacts \
    && chown -R countersign:countersign /home/countersign
WORKDIR /srv/countersign

FROM base AS server
# What lays out text for reports as PDF, and a font. Debian's security archive drops old versions: a pinned one would break the build.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/venv /opt/venv
COPY . .
# Production settings refuse to load without a key; this one is used by this step alone and is in no layer.
RUN COUNTERSIGN_ENV=production SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(48))')" ALLOWED_HOSTS=localhost \
    COUNTERSIGN_HOME=/tmp/build python manage.py collectstatic --no-input && rm -rf /tmp/build
USER 10001
ENV COUNTERSIGN_ENV=production GRANIAN_HOST=0.0.0.0 GRANIAN_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --retries=6 --start-period=20s \
    CMD ["python", "scripts/health.py", "http://127.0.0.1:8000/health"]
CMD ["granian", "--interface=wsgi", "--workers=2", "--blocking-threads=4", "--workers-kill-timeout=10", "--no-access-log", "config.wsgi:application"]

FROM base AS worker
# Debian's security archive moves on and drops old versions, so a pinned one would break the build.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes bubblewrap \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build-worker /opt/venv /opt/venv
# Builds the environments of models whose pins the worker does not satisfy.
COPY --from=build-worker /usr/local/bin/uv /usr/local/bin/uv
COPY . .
# Each check starts an interpreter of its own, which cannot write bytecode and would compile the checks anew every time.
RUN python -m compileall -q governance
USER 10001
ENV COUNTERSIGN_ENV=production
HEALTHCHECK --interval=30s --timeout=20s --retries=4 --start-period=20s \
    CMD ["sh", "-c", "celery --app config inspect ping --destination checks@$HOSTNAME --timeout 5"]
CMD ["celery", "--app=config", "worker", "--queues=checks-light,checks-cpu", "--hostname=checks@%h", "--concurrency=2", "--loglevel=INFO", "--without-gossip", "--without-mingle"]
