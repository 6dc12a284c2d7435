"""``data``: where prompts come from. Reading files is the business of ``safelab.corpus``."""
