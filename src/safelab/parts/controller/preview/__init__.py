"""``controller/preview``: how far one update may move the policy. It changes no loss."""
