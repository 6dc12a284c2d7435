"""Files of prompts and of preference pairs, and the order in which a finite list of them is drawn; no group."""
