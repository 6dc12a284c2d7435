"""Runs without a backward pass: votes between rollouts of two policies, and the one step that they make."""
