"""An mlflow client that answers questions: one Python expression a line in, what it gave or the error it raised out.

The demo asks it as the data scientist. It is the client as installed, in a process of its own with only its environment.
"""

from __future__ import annotations

import json
import sys

import mlflow


def main() -> None:
    names = {"mlflow": mlflow, "client": mlflow.MlflowClient()}
    for line in sys.stdin:
        try:
            answer = str(eval(json.loads(line), names))  # noqa: S307 - the demo's own expressions
        except mlflow.MlflowException as error:
            answer = str(error)
        print(json.dumps({"answer": answer}), flush=True)


if __name__ == "__main__":
    main()
