"""``guard``: looks at each row, and may stop the run or have it go back. It defines no crash: ``crash`` does."""
