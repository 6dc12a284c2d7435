"""``controller/gate``: what multiplies the penalty. It sets no threshold."""
