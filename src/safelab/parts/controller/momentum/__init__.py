"""``controller/momentum``: what a growing KL costs. It knows no threshold."""
