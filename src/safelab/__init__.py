"""Safelab trains RLHF methods that promise stability side by side and measures whether they keep it."""

__version__ = "0.2.0"
