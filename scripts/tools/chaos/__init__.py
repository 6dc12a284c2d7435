"""Breaks runs in every way, and sees whether anything is lost: ``python -m scripts.tools.chaos``.

One file for each kind of fault. A campaign gives its tries and what was found wrong; a sound tree gives no finding.
``tests/system/faults`` runs each in short, and docs/reliability.md has the figures of the long ones.
"""
