"""The group `objective`."""
