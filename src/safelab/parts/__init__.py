"""What a configuration can choose: one folder per group, one file per option, the same names as in ``conf/``.

Groups never import each other, and a part knows nothing of the loop that uses it. What options of one group share
lies beside them in a file that begins with ``_``. What every part of a group must offer stands in
``safelab.contracts``.
"""
