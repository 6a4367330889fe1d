"""Look into model files without loading them: every function here reads bytes and runs nothing from them."""
