"""Checkpoints as other people made them: loaded whole, or refused in one message before anything is trained.

``load``: tokenizers, configurations and weights. ``lora``: low-rank updates beside a model's layers; ``adapters``:
those of a checkpoint, merged. ``whole``: what a loaded model must have. ``limits``: how many tokens it can read.
``ends``: which of them end a response. ``recomputing``: gradient checkpointing. No code of a checkpoint runs, and no
pickle is opened.

How they read rows of unequal length: ``layout``, ``packed_attention``, ``stream``: one behind the other, without
padding; ``row_states``: what a head reads of them; ``ways``: which models can, by a look at each; ``padding``: whether
it changes what the others say. ``heads``: layers and head apart. ``ordinary``: tokens to look with.
"""
