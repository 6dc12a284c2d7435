"""The embedded world: a grammar of product reviews, a policy and a reward model made from it, a gold score beside."""
