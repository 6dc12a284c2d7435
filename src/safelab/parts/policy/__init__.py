"""``policy``: the models that are trained, and their frozen references. No loss is known here."""
