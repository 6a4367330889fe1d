"""What a run used and what it gave."""

from __future__ import annotations

from tracking import queries
from tracking.commands import lineage
from tracking.commands.lineage import DatasetInput


def test_an_input_noted_twice_is_kept_once_as_it_was_first(dana_acts, run_id) -> None:
    first = DatasetInput("d", "1", "local", "{}", tags=[("mlflow.data.context", "train")])
    lineage.log_inputs(actor=dana_acts, run_id=run_id, datasets=[first, DatasetInput("e", "2")])
    lineage.log_inputs(actor=dana_acts, run_id=run_id, datasets=[DatasetInput("d", "1", tags=[("mlflow.data.context", "eval")])])
    uses = {use.dataset["name"]: use for use in queries.run(dana_acts, run_id).dataset_inputs}
    assert uses["d"].dataset["source_type"] == "local"
    assert [tag.value for tag in uses["d"].tags] == ["train"]
    experiment = queries.run(dana_acts, run_id).experiment_id
    assert queries.dataset_summaries(dana_acts, [experiment]) == [(experiment, "d", "1", "train"), (experiment, "e", "2", None)]
