"""``tracker``: mirrors a run's rows elsewhere. The run's own files are the truth."""
