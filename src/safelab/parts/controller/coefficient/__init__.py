"""``controller/coefficient``: how strong the penalty is. It knows no shape of the penalty."""
