"""Hydra finds its plugins in the packages of this namespace."""
