"""``rollout``: turns prompts into responses. Nothing is scored here."""
