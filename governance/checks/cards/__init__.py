"""What a model card says: its sections, and the numbers it claims."""
