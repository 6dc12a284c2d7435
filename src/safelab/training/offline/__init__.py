"""Learning from preference pairs: what ``training.loop`` is for online runs. Nothing here writes files."""
