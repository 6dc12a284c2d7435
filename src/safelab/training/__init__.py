"""The group `training`."""
