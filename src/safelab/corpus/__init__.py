"""Text from files: prompts, preference pairs, dialogues, and how they become what a model reads.

No group: ``parts/data``, ``parts/pairs`` and ``supervised`` share it. Nothing is tokenised for training here.
"""
