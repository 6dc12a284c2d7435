"""Any causal language model that ``transformers`` loads, trained in full or through an adapter."""

from safelab.contracts import Context, Policy
from safelab.corpus.dialogue import Template
from safelab.options import PathOrHub
from safelab.parts.policy._loading import LanguageModel


class CausalLm(LanguageModel):
    """``path``: a local directory or a hub name. The keys of every language model: see ``LanguageModel``.

    ``prompt_template``: how a prompt is written for the model, see ``dialogue``; rewards get the prompt as it is.
    ``compile``: scoring and training passes through ``torch.compile``; sampling has ``rollout.decoding``.
    """

    path: PathOrHub
    prompt_template: Template
    compile: bool

    def build(self, context: Context) -> Policy:
        """Load weights and tokenizer, check that they can be read, and say what trains and what the reference is."""
        return self.load(self.path, context, prompt_template=self.prompt_template, compiled=self.compile)
