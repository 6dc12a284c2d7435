"""Checkpoints as other people made them: loaded whole, or refused in one message before anything is trained.

``load``: tokenizers, configurations and weights. ``adapters``: LoRA checkpoints, merged. ``whole``: what a loaded model
must have. ``limits``: how many tokens it can read. No code of a checkpoint runs, and no pickle is opened.
"""
