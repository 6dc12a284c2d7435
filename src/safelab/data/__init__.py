"""The group `data`."""
