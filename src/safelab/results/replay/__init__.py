"""What a controller would have done on recorded signals, step by step, without a model."""
