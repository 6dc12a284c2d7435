"""``controller/phase``: which phase training is in, and its factor on the threshold. It hears the reward alone."""
