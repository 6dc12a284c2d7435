"""The embedded world: a grammar of product reviews, a policy and a reward model made from it, a gold score beside.

Everything that a run needs without a network or a file of the user's. No real model or data set is known here.
"""
