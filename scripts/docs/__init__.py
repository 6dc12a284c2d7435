"""How the documentation site is made from ``docs/``: ``make docs``."""
