"""The group ``shaping``: what stands between the raw reward and the advantage."""
