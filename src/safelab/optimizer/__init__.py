"""The group `optimizer`."""
