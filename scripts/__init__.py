"""What is run by hand, from the project's folder: ``python -m scripts.FOLDER.NAME``. No part of the installed package.

``studies/``: what a study does besides its sweep; ``tools/``: for those who work on the project; ``bench/``: speed and
memory.
"""
