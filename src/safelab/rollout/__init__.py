"""The group `rollout`."""
