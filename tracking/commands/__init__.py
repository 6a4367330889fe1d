"""Every state change of what runs log: one function, one transaction, one event for each change."""
