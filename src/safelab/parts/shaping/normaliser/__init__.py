"""``shaping/normaliser``: brings raw rewards to the scale that the critic learns."""
