"""For those who work on the project: compare two versions, make runs up, break runs, rewrite what is committed."""
