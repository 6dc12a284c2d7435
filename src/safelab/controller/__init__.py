"""The group `controller`."""
