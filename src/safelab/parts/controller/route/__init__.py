"""``controller/route``: one part of the controller stack; its contract stands in ``safelab.contracts``."""
