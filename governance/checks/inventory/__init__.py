"""What a model asks to be installed, what is known against it, and under which licence it comes."""
