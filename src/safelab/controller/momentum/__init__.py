"""Part `momentum` of the controller stack."""
