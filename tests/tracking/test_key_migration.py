"""Rows that were logged before they had the key of their run are kept, by both ways of changing the tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from config.environment import BASE_DIR
from tests.live import own_database

MIGRATE = """
import json, django
django.setup()
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
def run(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []
def to(name):
    MigrationExecutor(connection).migrate([("tracking", name)])
POINT = "(run_id, key, timestamp_ms, step, value, is_nan, model_id, dataset_name, dataset_digest)"
def point(table, *values):
    run(f"INSERT INTO {table} {POINT} VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)", *values)
to("0007_statistics_of_pairs")
run("INSERT INTO tracking_experiment (id, name, artifact_location, lifecycle_stage, created_ms, updated_ms)"
    " VALUES (7, 'e', '', 'active', 0, 0)")
run("INSERT INTO tracking_run (id, experiment_id, name, user_id_text, status, start_ms, lifecycle_stage, artifact_uri)"
    " VALUES ('r', 7, '', '', 'RUNNING', 0, 'active', '')")
for table in ("tracking_param", "tracking_runtag"):
    for key in ("b", "a"):
        run(f"INSERT INTO {table} (run_id, key, value) VALUES ('r', %s, %s)", key, f"value of {key}")
for model in ("m-1", ""):
    point("tracking_metricpoint", "r", "loss", 5, 1, 0.1 + 0.2, False, model, "d", "1")
point("tracking_metricpoint", "r", "loss", 6, 2, 0.0, True, "", "", "")
point("tracking_latestmetric", "r", "loss", 6, 2, 0.0, True, "", "", "")
to("0008_keys_of_what_is_logged")
refused = 0
for table in ("tracking_param", "tracking_runtag"):
    try:
        with transaction.atomic():
            run(f"INSERT INTO {table} (run_id, key, value) VALUES ('r', 'a', 'again')")
    except IntegrityError:
        refused += 1
print(json.dumps({
    "params": run("SELECT run_id, key, value FROM tracking_param ORDER BY key"),
    "tags": run("SELECT run_id, key, value FROM tracking_runtag ORDER BY key"),
    "points": run(f"SELECT {POINT[1:-1]} FROM tracking_metricpoint ORDER BY step, model_id"),
    "latest": run(f"SELECT {POINT[1:-1]} FROM tracking_latestmetric"),
    "refused": refused,
}))
"""


def test_what_was_logged_survives_the_change_of_its_key(tmp_path: Path) -> None:
    with own_database(empty=True) as url:
        settings = {"DJANGO_SETTINGS_MODULE": "config.settings", "COUNTERSIGN_HOME": str(tmp_path), "DATABASE_URL": url}
        done = subprocess.run(
            [sys.executable, "-c", MIGRATE],
            cwd=BASE_DIR,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    pairs = [["r", "a", "value of a"], ["r", "b", "value of b"]]
    found = json.loads(done.stdout)
    for point in (*found["points"], *found["latest"]):
        point[5] = bool(point[5])  # SQLite has no truth values
    assert found == {
        "params": pairs,
        "tags": pairs,
        "points": [
            ["r", "loss", 5, 1, 0.1 + 0.2, False, "", "d", "1"],
            ["r", "loss", 5, 1, 0.1 + 0.2, False, "m-1", "d", "1"],
            ["r", "loss", 6, 2, 0.0, True, "", "", ""],
        ],
        "latest": [["r", "loss", 6, 2, 0.0, True, "", "", ""]],
        "refused": 2,
    }
