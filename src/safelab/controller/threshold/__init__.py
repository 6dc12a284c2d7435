"""Part `threshold` of the controller stack."""
