"""Checks measure a model version inside the sandbox; they never decide.

Nothing here may import Django, and nothing at module level may import numpy, pandas or mlflow: the web process lists the
checks and their parameters without the validation libraries, and each child pays only for what its check needs.
"""
