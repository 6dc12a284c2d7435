"""The group `critic`."""
