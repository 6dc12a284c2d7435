"""Part `phase` of the controller stack."""
