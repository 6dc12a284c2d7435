"""The report as files: one HTML page, figures, tables. Everything shown was computed elsewhere."""
