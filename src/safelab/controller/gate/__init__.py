"""Part `gate` of the controller stack."""
