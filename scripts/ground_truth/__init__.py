"""What the checks measure, beside what reference implementations and published tables say of the same data."""
