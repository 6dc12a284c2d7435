"""``controller/threshold``: the KL from which the penalty acts. It knows no penalty."""
