"""What papers and release logs say, as facts to compare with: one pair of files per publication, no code of any paper.

``NAME.csv`` has one row per published number, ``NAME.yaml`` what the publication is and how ours differs. ``NAME`` is
also ``conf/sweep/NAME.yaml``, which trains it. Nothing here depends on runs.

Columns of the CSV:

- ``arm``: our arm's name, or ``one/other`` for a ratio of two arms, paired by seed;
- ``quantity``: what it is, in plain words;
- ``metric``: our measure of the same (``reward_mean``, a logged metric, ``crash/reward``, ``diverged``), empty where we
  have none that is equal; ``reward_sd_rolling^2`` is the square of each run's value;
- ``value``, ``unit``: a ratio's unit is ``%`` (a change) or ``times``; a share of runs has the unit ``share of runs``,
  as ``crash/...`` and ``diverged`` must, which are of one arm;
- ``sd``, ``n``: deviation over their runs and how many, empty where unknown;
- ``margin``: the difference, in that unit, that still counts as none; empty: no test of equivalence;
- ``place``: where it was read, exactly;
- ``note``: what a reader must know to compare it (this column may be left out).

Keys of the YAML are the fields of ``read.About``.
"""
