"""The mathematics of the checks: numpy arrays in, numbers out."""
