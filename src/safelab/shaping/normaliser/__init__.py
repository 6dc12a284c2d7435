"""The group ``shaping/normaliser``: the scale on which the critic learns rewards."""
