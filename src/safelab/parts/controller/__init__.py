"""``controller``: strength, threshold and route of the KL penalty, from recorded signals. No weights of a model here.

``stack.py`` is the option; its parts lie in folders of their own, one per nested group.
"""
