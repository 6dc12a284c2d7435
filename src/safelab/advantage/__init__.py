"""The group `advantage`."""
