"""Part `coefficient` of the controller stack."""
