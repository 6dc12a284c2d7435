"""Part `preview` of the controller stack."""
