"""Every comparison there is, check by check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from governance.checks.artifact_scan import ArtifactScan
from governance.checks.model_card import ModelCard
from governance.checks.signature_schema import SignatureSchema
from scripts.ground_truth import data, drift, explainability, fairness, others, performance, robustness
from scripts.ground_truth.agreement import Chapter
from scripts.ground_truth.data import Folder

# What is emitted and has no reference: counts of what was looked at, which say how far the other numbers reach.
COUNTS = {
    "scan.files": "a count of files",
    "scan.findings": "a count of findings; what must be found is tested by tests/hostile",
    "signature.present": "1 or 0",
    "signature.inputs": "a count of columns",
    "signature.outputs": "a count of columns",
    "input_example.scores": "1 or 0",
    "explainability.features": "a count of columns",
    "explainability.rows": "a count of rows",
    "explainability.background": "a count of rows",
    "explainability.model_rows": "a count of rows asked for",
    "robustness.adversarial.features": "a count, and an upper bound: the search may miss a change of fewer features",
    "drift.features": "a count of columns",
    "dependencies.licences_unknown": "a count of packages",
    "dependencies.licences_refused": "a count of packages",
    "card.sections_filled": "the share of the required sections",
    "card.missing_sections": "a count of sections",
    "card.thin_sections": "a count of sections",
    "card.words": "a count of words",
    "card.boilerplate": "a count of sections",
    "card.claims": "a count of numbers in the card",
    "card.claims_agreeing": "a count; that it is right is tested by tests/governance/checks/test_model_card.py",
    "card.claims_contradicted": "a count, as above",
    "card.claims_unmatched": "a count, as above",
}


def measure(folder: Path, larger: Path | None = None, *, slow: bool) -> list[Chapter]:
    """Return a chapter for each check.

    folder: for files. larger: where the larger data sets are. slow: with the intervals by bootstrap, and more draws of what is left
    to chance.
    """
    german = data.german(folder)
    iris, wine, cancer, diabetes = (data.bundled(folder, name) for name in ("iris", "wine", "breast_cancer", "diabetes"))
    more = Folder(larger, folder) if larger else None
    binary = [german, cancer, *([more.adult(), more.bank(), more.hospital()] if more else [])]
    draws = 20 if slow else 6

    scored = Chapter("performance")
    for each in binary:
        performance.binary(scored, each, slow=slow)
    for each in (iris, wine):
        performance.multiclass(scored, each)
    performance.regression(scored, diabetes)
    performance.ranking(scored, german.only([*german.features, "purpose"]), "purpose")

    fair = Chapter("fairness")
    fairness.fairness(fair, german, ("sex", "foreign_worker"))

    explained = Chapter("explainability")
    explainability.permutation(explained, german, 20 if slow else 5)
    explainability.linear(explained, diabetes.only(diabetes.features[:4]), 30, 500 if slow else 200)
    explainability.enumerated(explained, german, ["credit_amount", "age", "housing"], 8)

    robust = Chapter("robustness")
    few = ["status", "duration_months", "credit_amount", "savings"]
    robustness.flips(robust, german if slow else german.only(few), draws)
    robustness.search(robust, cancer, ["mean_texture", "mean_smoothness"])
    robustness.changes(robust, data.terms(folder), draws)

    drifted = Chapter("drift")
    drift.drift(drifted, german)

    said, needed, again = Chapter("text-generation"), Chapter("dependencies"), Chapter("reproducibility")
    others.texts(said, folder / "texts")
    others.dependencies(needed, folder / "dependencies")
    others.reproducibility(again, german)

    if slow:
        explainability.linear(explained, diabetes, 30, 500)
        robustness.changes(robust, diabetes, draws)
        drift.drift(drifted, wine)
        drift.drift(drifted, cancer.only(cancer.features[:5]))
        others.reproducibility(again, cancer)
    if more:
        adult, bank, hospital = binary[2:]
        fairness.fairness(fair, adult, ("sex", "race"))
        fairness.fairness(fair, bank, ("marital", "education"))
        fairness.fairness(fair, hospital, ("gender", "race"))
        performance.multiclass(scored, more.stays())
        performance.regression(scored, more.hours())
        for each in (adult, bank):
            drift.drift(drifted, each)
            explainability.permutation(explained, each, 10)
        robustness.flips(robust, adult.only(adult.features[:4], 2000), draws)

    counted = Chapter("artifact-scan, signature-schema, model-card")
    subject = german.subject(None)
    _ = german.written
    counted.run(ArtifactScan(), subject)
    counted.run(SignatureSchema(), subject)
    counted.run(ModelCard(), replace(subject, card={"metrics": "The ROC AUC is 0.79 on the evaluation set."}))
    return [scored, fair, explained, robust, drifted, said, needed, again, counted]
