"""Every state change of the workflow: one function, one transaction, one event for each change."""
