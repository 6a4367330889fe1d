"""The way in from an MLflow server and the way out to one: what is read and written there, and how both sides compare."""
