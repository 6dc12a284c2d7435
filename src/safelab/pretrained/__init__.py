"""Checkpoints as other people made them: loaded whole, or refused in one message before anything is trained.

``load``: tokenizers, configurations and weights. ``lora``: low-rank updates beside a model's layers; ``adapters``:
those of a checkpoint, merged. ``whole``: what a loaded model must have. ``limits``: how many tokens it can read.
``ends``: which of them end a response. ``recomputing``: gradient checkpointing. No code of a checkpoint runs, and no
pickle is opened.

``ragged``: how they read rows of unequal length without padding. ``padding``: whether padding changes what a model
says. ``heads``: layers and head apart. ``ordinary``: tokens to look at a model with.
"""
