"""The group `reward`."""
