"""``advantage``: from rewards and values to an advantage for every response token. No weights move here."""
