"""How much of what a model answers is owed to which feature, measured by asking it."""
