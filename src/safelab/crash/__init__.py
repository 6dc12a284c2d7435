"""What counts as a crash: one file per kind, and one table of them all.

Each kind is a fold over the rows of ``metrics.jsonl``: plain numbers in, a flag out. Nothing here knows tensors,
files or configurations, and nothing elsewhere defines a crash or lists the kinds.

``table`` has a row for each kind, ``detectors`` folds all of them at once, ``row`` says how a kind reads its metrics,
and ``excess`` and ``fall`` hold what several kinds share. Every other file is one kind, named as its constants are in
``conf/detectors``. A new kind is one such file and one row of the table.
"""
