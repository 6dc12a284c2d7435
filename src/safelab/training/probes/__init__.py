"""Questions about a run from outside its loop: which loss terms act, how a policy does on held-out prompts.

The loop imports nothing from here.
"""
