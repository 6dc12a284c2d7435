"""The group `preference`."""
