"""The group `tracker`."""
