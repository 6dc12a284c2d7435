"""The embedded default: a small Llama-style model that the project trains by itself on product reviews."""

from safelab.contracts import Context, Policy
from safelab.parts.policy._loading import LanguageModel
from safelab.world.artifacts import ensure_language_model
from safelab.world.options import WorldOptions


class Tiny(LanguageModel):
    """``world``: how the embedded world is made, ``${world}`` in the configuration."""

    world: WorldOptions

    def build(self, context: Context) -> Policy:
        """The world's language model, made on first use and cached."""
        path = ensure_language_model(self.world, context.cache, context.progress)
        # Reviews are no chats, and a model this small is not worth compiling.
        return self.load(str(path), context, prompt_template="plain", compiled=False)
