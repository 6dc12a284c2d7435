"""The group `aggregation`."""
