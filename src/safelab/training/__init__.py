"""What one update is made of.

``loop`` is the way from prompt to row; ``stages``, ``rewards``, ``losses``, ``update`` and ``rows`` are its steps;
``finite``: what must be finite on the way. ``components``, ``settings`` and ``state`` are what a run consists of;
``fit`` says which parts work together.

Parts are handed in, built. How a run begins, is saved and goes on lies in ``lifecycle/``, learning from pairs in
``offline/``, what is asked of a run from outside the loop in ``probes/``. Nothing here reads a YAML file.
"""
