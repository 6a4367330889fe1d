"""What of MLflow's database is known here: its revisions, and the tables an export needs where there is no MLflow to make them."""

from __future__ import annotations

# From MLflow 2.9, which gave versions a storage location, to 3.17; in the order in which MLflow added them.
REVISIONS = (
    *[
        "acf3f17fdcc7",
        "867495a8f9d4",
        "5b0e9adcef9c",
        "4465047574b1",
        "f5a4f2784254",
        "0584bdc529eb",
        "400f98739977",
        "6953534de441",
    ],
    *[
        "bda7b8c39065",
        "cbc13b556ace",
        "770bee3ae1dd",
        "a1b2c3d4e5f6",
        "de4033877273",
        "1a0cddfcaa16",
        "534353b11cbc",
        "71994744cf8e",
    ],
    *[
        "3da73c924c2f",
        "bf29a5ff90ea",
        "1bd49d398cd23",
        "b7c8d9e0f1a2",
        "5d2d30f0abce",
        "c9d4e5f6a7b8",
        "2c33131f4dae",
        "d3e4f5a6b7c8",
    ],
    *[
        "d0e1f2a3b4c5",
        "c8d9e0f1a2b3",
        "1b5f0d9ad7c1",
        "e1f2a3b4c5d6",
        "76601a5f987d",
        "c3d6457b6d8a",
        "a5b4c3d2e1f0",
        "ae8bbe7743c9",
    ],
    *[
        "7d34483879f0",
        "da6fb0208061",
        "89d3d66ed43f",
        "b7e4c1a90f23",
        "a8b9c0d1e2f3",
        "c1d2e3f4a5b6",
        "c3d9e7f1a2b4",
        "6f8d9c3b2a1e",
    ],
    *["1971f2d9a75b", "17e22815139b", "b7e2c1a4d9f3", "75868b020152", "dc11669786a5"],
)

TABLES = """
CREATE TABLE IF NOT EXISTS experiments (experiment_id INTEGER PRIMARY KEY, name TEXT NOT NULL, artifact_location TEXT,
  lifecycle_stage TEXT, creation_time BIGINT, last_update_time BIGINT);
CREATE TABLE IF NOT EXISTS experiment_tags (key TEXT, value TEXT, experiment_id INTEGER, PRIMARY KEY (key, experiment_id));
CREATE TABLE IF NOT EXISTS runs (run_uuid TEXT PRIMARY KEY, name TEXT, source_type TEXT, source_name TEXT, entry_point_name TEXT,
  user_id TEXT, status TEXT, start_time BIGINT, end_time BIGINT, deleted_time BIGINT, source_version TEXT, lifecycle_stage TEXT,
  artifact_uri TEXT, experiment_id INTEGER);
CREATE TABLE IF NOT EXISTS tags (key TEXT, value TEXT, run_uuid TEXT, PRIMARY KEY (run_uuid, key));
CREATE TABLE IF NOT EXISTS params (key TEXT, value TEXT, run_uuid TEXT, PRIMARY KEY (run_uuid, key));
CREATE TABLE IF NOT EXISTS metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN,
  PRIMARY KEY (run_uuid, key, timestamp, step, value, is_nan)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latest_metrics (key TEXT, value FLOAT, timestamp BIGINT, step BIGINT, is_nan BOOLEAN, run_uuid TEXT,
  PRIMARY KEY (run_uuid, key));
CREATE TABLE IF NOT EXISTS datasets (dataset_uuid TEXT, experiment_id INTEGER, name TEXT, digest TEXT, dataset_source_type TEXT,
  dataset_source TEXT, dataset_schema TEXT, dataset_profile TEXT, PRIMARY KEY (experiment_id, name, digest));
CREATE TABLE IF NOT EXISTS inputs (input_uuid TEXT, source_type TEXT, source_id TEXT, destination_type TEXT, destination_id TEXT,
  step BIGINT DEFAULT 0, PRIMARY KEY (source_type, source_id, destination_type, destination_id));
CREATE TABLE IF NOT EXISTS input_tags (input_uuid TEXT, name TEXT, value TEXT, PRIMARY KEY (input_uuid, name));
CREATE TABLE IF NOT EXISTS logged_models (model_id TEXT PRIMARY KEY, experiment_id INTEGER, name TEXT, artifact_location TEXT,
  creation_timestamp_ms BIGINT, last_updated_timestamp_ms BIGINT, status INTEGER, lifecycle_stage TEXT, model_type TEXT,
  source_run_id TEXT, status_message TEXT);
CREATE TABLE IF NOT EXISTS logged_model_params (model_id TEXT, experiment_id INTEGER, param_key TEXT, param_value TEXT,
  PRIMARY KEY (model_id, param_key));
CREATE TABLE IF NOT EXISTS logged_model_tags (model_id TEXT, experiment_id INTEGER, tag_key TEXT, tag_value TEXT,
  PRIMARY KEY (model_id, tag_key));
CREATE TABLE IF NOT EXISTS logged_model_metrics (model_id TEXT, metric_name TEXT, metric_timestamp_ms BIGINT, metric_step BIGINT,
  metric_value FLOAT, experiment_id INTEGER, run_id TEXT, dataset_uuid TEXT, dataset_name TEXT, dataset_digest TEXT,
  PRIMARY KEY (model_id, metric_name, metric_timestamp_ms, metric_step, run_id));
CREATE TABLE IF NOT EXISTS registered_models (name TEXT PRIMARY KEY, creation_time BIGINT, last_updated_time BIGINT,
  description TEXT);
CREATE TABLE IF NOT EXISTS registered_model_tags (key TEXT, value TEXT, name TEXT, PRIMARY KEY (key, name));
CREATE TABLE IF NOT EXISTS registered_model_aliases (alias TEXT, version INTEGER, name TEXT, PRIMARY KEY (name, alias));
CREATE TABLE IF NOT EXISTS model_versions (name TEXT, version INTEGER, creation_time BIGINT, last_updated_time BIGINT,
  description TEXT, user_id TEXT, current_stage TEXT, source TEXT, run_id TEXT, status TEXT, status_message TEXT, run_link TEXT,
  storage_location TEXT, PRIMARY KEY (name, version));
CREATE TABLE IF NOT EXISTS model_version_tags (key TEXT, value TEXT, name TEXT, version INTEGER,
  PRIMARY KEY (key, name, version));
CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT PRIMARY KEY);
"""

# What an export writes where no MLflow made the tables: it can be imported again, and is no database for an MLflow server.
OWN_REVISION = "countersign-export-1"
