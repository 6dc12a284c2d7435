"""Text from files: prompts, preference pairs, dialogues, and how they become what a model reads.

``lines``, ``hh``: files as records. ``dialogue``: records as chats. ``continuation``: where a prompt ends and its
response begins, in text and in tokens. ``fitting``: which prompts a run can read.

No group: ``parts/data``, ``parts/pairs`` and ``supervised`` share it. Nothing is batched or trained here.
"""
