"""``optimizer``: how often and how far an update moves the weights."""
