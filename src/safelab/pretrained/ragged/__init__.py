"""Rows of unequal length through a model without padding.

``layout``: where each token stands in one stream. ``attention``: which keeps its rows apart; ``blocks``: by padded
batches of like length where the device has nothing better. ``stream``: a model's pass over it. ``row_states``: what a
head reads of rows of tokens. ``ways``: which models can be read so, by a look at each.
"""
