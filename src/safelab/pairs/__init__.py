"""The group `pairs`."""
