"""safelab: does a stabilised RLHF method really stay stable?"""

__version__ = "0.1.0"
