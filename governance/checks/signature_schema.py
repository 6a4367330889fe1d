"""Whether the model says what it takes and gives, and keeps to it on its own example."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from governance.checks.base import Finding, Measurement, ModelPredictFailed, Result
from governance.checks.subject import Subject


@dataclass(frozen=True)
class SignatureSchema:
    """Measure the model signature and try the input example.

    `signature.present` is 1 or 0, `signature.inputs` and `signature.outputs` count columns, `input_example.scores` is 1
    when the model scores its example, 0 when it fails, None when it has none.
    Raises UnreadableInput for a broken MLmodel file, ModelLoadFailed.
    """

    name: ClassVar[str] = "signature-schema"
    revision: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = False

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield the counts, then the result of scoring the example."""
        signature = subject.signature
        yield Measurement("signature.present", float(signature is not None))
        yield Measurement("signature.inputs", float(len(signature.inputs)) if signature else 0.0, method="count")
        yield Measurement("signature.outputs", float(len(signature.outputs)) if signature else 0.0, method="count")
        if signature is None:
            yield Finding("no-signature", "medium", "MLmodel", "Save the model with signature=infer_signature(...).")
        yield from _example(subject)


def _example(subject: Subject) -> Iterator[Result]:
    if not subject.mlmodel.get("saved_input_example_info"):
        yield Measurement("input_example.scores", None, method="the model has no input example")
        return
    try:
        subject.model.answer_example()
    except ModelPredictFailed as failure:
        yield Measurement("input_example.scores", 0.0)
        yield Finding("input-example-fails", "medium", "input example", failure.message)
    else:
        yield Measurement("input_example.scores", 1.0)
