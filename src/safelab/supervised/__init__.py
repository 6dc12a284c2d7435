"""Supervised training: the one loop for SFT, reward model, value model and the embedded world's models.

``loop``: batches in, weights changed; what is learnt is a ``Lesson``. ``sft``, ``bradley_terry``, ``token_value``: the
three losses, each with the lesson on pairs of text that the command line gives. ``rows``: texts as padded tensors.
``options``, ``pairs``, ``loading``, ``saving``: what the command line asks for, which pairs it learns from, where the
model comes from and goes to.

No reinforcement learning happens here, and no run directory is written: that is ``training``.
"""
