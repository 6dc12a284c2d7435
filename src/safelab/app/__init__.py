"""The command line, and the only user of Hydra: from what a user typed to parts, runs and processes.

``config/`` composes and checks, ``commands/`` has one file per command, ``sweep/`` runs many jobs, ``dry_run/``
foretells one. No number of a result is computed here.
"""
