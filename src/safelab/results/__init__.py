"""Run directories in, answers out. Reads files only: it knows no models and never imports ``training``.

``runs/`` reads and measures each run, ``compare/`` sets arms against each other, ``words/`` says it, ``page/`` shows
it, ``replay/`` steps a controller over recorded signals. Each uses only those named before it.
"""
