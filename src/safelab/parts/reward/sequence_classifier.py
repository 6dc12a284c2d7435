"""Any sequence classifier of ``transformers`` as reward: its own tokenizer and template, batched by length.

reward = z[label]   or, with ``squash: sigmoid``, 1 / (1 + exp(-z[label]))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from safelab.contracts import Context, Part, Reward
from safelab.corpus.dialogue import Template, check_template, texts
from safelab.corpus.readable import check_readable
from safelab.errors import ConfigError
from safelab.parts.reward._batches import by_length


class SequenceClassifier(Part):
    """``path``: a directory or hub name. ``label``: which output is the reward. ``template``: see ``dialogue``.

    ``max_tokens``: longer texts lose their beginning. ``batch_size``: texts per forward pass; it changes no number.
    ``trust_remote_code``: whether the checkpoint's own Python may run.
    """

    path: str
    label: Annotated[int, Field(ge=0)]
    squash: Literal["none", "sigmoid"]
    template: Template
    dtype: Literal["float32", "bfloat16", "float16"]
    max_tokens: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    trust_remote_code: bool

    def build(self, context: Context) -> Reward:
        """Load the classifier; nothing is trained if that fails.

        Raises:
            ConfigError: nothing loadable there, no such label, or no chat template where one is asked for.
        """
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        check_readable(self.path, "reward.path")
        # Truncation from the left keeps the response; padding on the right suits causal and bidirectional models alike.
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                self.path,
                padding_side="right",
                truncation_side="left",
                trust_remote_code=self.trust_remote_code,
            )
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                self.path,
                dtype=getattr(torch, self.dtype),
                trust_remote_code=self.trust_remote_code,
                output_loading_info=True,
                use_safetensors=True,
            )
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"reward.path must be a directory or hub name of a sequence classifier, got {self.path!r}: {reason}"
            ) from error
        if missing := sorted(loading["missing_keys"]):
            raise ConfigError(
                f"reward.path must be a trained sequence classifier, got {self.path!r}, which lacks "
                f"{', '.join(missing[:3])}: with random weights there the reward would be noise"
            )
        if self.label >= model.config.num_labels:
            raise ConfigError(f"reward.label must be below {model.config.num_labels}, got {self.label}")
        check_template("reward.template", self.template, tokenizer, self.path)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        # Causal classifiers find the last real token by the padding token of their configuration.
        model.config.pad_token_id = tokenizer.pad_token_id
        return Classifier(self, model.to(context.device).eval(), tokenizer)


@dataclass(frozen=True, slots=True)
class Classifier(Reward):
    """The model with its tokenizer, read as ``options`` say."""

    options: SequenceClassifier
    model: Any
    tokenizer: Any

    @torch.no_grad()
    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """The classifier's output for each response; the end of a response is as its template writes it."""
        options = self.options
        shown = texts(options.template, self.tokenizer, prompts, responses)
        return by_length(shown, options.batch_size, self._rewards)

    def _rewards(self, shown: list[str]) -> list[float]:
        options = self.options
        inputs = self.tokenizer(
            shown,
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=options.max_tokens,
            # A chat template has written the special tokens already.
            add_special_tokens=options.template == "plain",
            return_token_type_ids=False,
        ).to(self.model.device)
        z = self.model(**inputs).logits[:, options.label].float()
        rewards: list[float] = (torch.sigmoid(z) if options.squash == "sigmoid" else z).tolist()
        return rewards
