"""The formulas as pure functions: tensors and numbers in, tensors and numbers out. No configuration, no files."""
