"""Part `penalty` of the controller stack."""
