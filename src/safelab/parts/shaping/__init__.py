"""``shaping``: charges, normalisation and clipping between reward and advantage."""
