"""How fast Countersign is beside an MLflow server: same data, same engine, same number of workers, in one run."""
