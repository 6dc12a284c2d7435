"""Supervised training: the one loop for SFT, reward model, value model and the embedded world's models.

No reinforcement learning happens here, and no run directory is written: that is ``training``.
"""
