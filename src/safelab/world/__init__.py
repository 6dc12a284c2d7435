"""The embedded worlds: a language each (reviews, tasks), a policy and a reward model made from it, a judge beside.

Everything that a run needs without a network or a file of the user's. No real model or data set is known here.
"""
