"""The group `guard`."""
