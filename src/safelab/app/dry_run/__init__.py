"""What a run would be and need, from the shape of its model alone. No weights are loaded."""
