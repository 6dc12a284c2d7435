"""Any sequence classifier of ``transformers`` as reward: its own tokenizer and template, and little or no padding.

reward = z[label]   or, with ``squash: sigmoid``, 1 / (1 + exp(-z[label]))
                    or, with ``scale: held_out``, (z[label] - m) / s

m and s are the mean and deviation of its scores on the pairs kept back. A reward model of pairs has no zero of its own:
the worst of several, or their variance, means something only on one scale. Ref: Coste et al. 2023, arXiv 2310.02743
(members of mean 0 and variance 1).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from safelab.contracts import Context, Part, Reward
from safelab.corpus.dialogue import Template, check_template, padded, texts, tokenise
from safelab.errors import ConfigError
from safelab.options import PathOrHub
from safelab.parts.reward._batches import by_length
from safelab.pretrained.adapters import classifier, with_tokenizer
from safelab.pretrained.limits import check_reach
from safelab.pretrained.load import Source, tokenizer_of
from safelab.pretrained.padding import check_padding
from safelab.pretrained.ragged.row_states import RowReader
from safelab.pretrained.ragged.ways import reader_of
from safelab.pretrained.whole import check_rows


class SequenceClassifier(Part):
    """``path``: a directory or hub name. ``label``: which output is the reward. ``template``: see ``dialogue``.

    ``scale``: ``held_out`` needs what ``safelab reward-model`` wrote beside the weights.
    ``max_tokens``: longer texts lose their beginning. ``batch_size``: texts per forward pass; it changes no number.
    ``trust_remote_code``: whether the checkpoint's own Python may run.
    """

    path: PathOrHub
    label: Annotated[int, Field(ge=0)]
    squash: Literal["none", "sigmoid"]
    scale: Literal["raw", "held_out"]
    template: Template
    dtype: Literal["float32", "bfloat16", "float16"]
    max_tokens: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    trust_remote_code: bool

    @model_validator(mode="before")
    @classmethod
    def _raw_before(cls, given: Any) -> Any:
        return {"scale": "raw", **given}  # a member of an ensemble, or a run of a version before scale, has none

    @model_validator(mode="after")
    def _one_of_both(self) -> "SequenceClassifier":
        if self.squash != "none" and self.scale != "raw":
            raise ValueError("squash must be none with scale=held_out, got sigmoid: choose one of the two")
        return self

    def build(self, context: Context) -> Reward:
        """Load the classifier; nothing is trained if that fails.

        Raises:
            ConfigError: nothing loadable there, weights, rows or positions that are missing, no such label, no chat
                template where one is asked for, a score that padding changes, or a scale that nobody measured.
        """
        from transformers import AutoModelForSequenceClassification

        zero, unit = (0.0, 1.0) if self.scale == "raw" else _measured_scale(Path(self.path))
        source = Source("reward.path", self.path, "of a sequence classifier", "give a trained one")
        # Truncation from the left keeps the response; padding on the right suits causal and bidirectional models alike.
        dtype, trust = getattr(torch, self.dtype), self.trust_remote_code
        tokenizer = tokenizer_of(
            with_tokenizer(source), padding_side="right", truncation_side="left", trust_remote_code=trust
        )
        model, _ = classifier(AutoModelForSequenceClassification, source, dtype=dtype, trust_remote_code=trust)
        if self.label >= model.config.num_labels:
            raise ConfigError(f"reward.label must be below {model.config.num_labels}, got {self.label}")
        check_template("reward.template", self.template, tokenizer, self.path)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        if tokenizer.pad_token_id is None:
            raise ConfigError(f"reward.path must have a tokenizer with a padding or an end token, got {self.path!r}")
        check_rows("reward.path", self.path, model, tokenizer)
        check_reach("reward.max_tokens", self.max_tokens, self.path, model.config)
        # Causal classifiers find the last real token by the padding token of their configuration.
        model.config.pad_token_id = tokenizer.pad_token_id
        model = model.to(context.device).eval()
        check_padding("reward.path", self.path, model, tokenizer)
        return Classifier(self, model, tokenizer, reader_of(model, tokenizer), zero, unit)


def _measured_scale(model: Path) -> tuple[float, float]:
    """Mean and deviation of its scores on the pairs kept back.

    Raises:
        ConfigError: ``safelab reward-model`` did not write them there.
    """
    file = model / "training.json"
    after = json.loads(file.read_text(encoding="utf-8"))["after"] if file.is_file() else {}
    try:
        return after["score_mean_held_out"], after["score_sd_held_out"]
    except KeyError:
        raise ConfigError(
            "reward.scale=held_out needs a model with score_mean_held_out and score_sd_held_out in its training.json, "
            f"as safelab reward-model makes it, got {model}: make it anew, or use reward.scale=raw"
        ) from None


@dataclass(frozen=True, slots=True)
class Classifier(Reward):
    """The model with its tokenizer, read as ``options`` say; ``reader``: without padding, None where it needs some.

    ``zero`` comes off every score, which is then divided by ``unit``.
    """

    options: SequenceClassifier
    model: Any
    tokenizer: Any
    reader: RowReader | None
    zero: float = 0.0
    unit: float = 1.0

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that the chat template refuses."""
        texts(self.options.template, self.tokenizer, [prompt], [""])

    @torch.no_grad()
    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """The classifier's output for each response; the end of a response is as its template writes it."""
        options = self.options
        shown = texts(options.template, self.tokenizer, prompts, responses)
        rows = tokenise(options.template, self.tokenizer, shown, options.max_tokens)
        if self.reader is None:
            return by_length(rows, options.batch_size, self._read_padded)
        groups = list(prompts)
        pieces = [slice(start, start + options.batch_size) for start in range(0, len(rows), options.batch_size)]
        return [z for piece in pieces for z in self._rewards(self.reader.last_logits(rows[piece], groups[piece]))]

    def _read_padded(self, rows: list[list[int]]) -> list[float]:
        return self._rewards(self.model(**padded(self.tokenizer, rows).to(self.model.device)).logits)

    def _rewards(self, logits: Float[Tensor, "b k"]) -> list[float]:
        z = (logits[:, self.options.label].float() - self.zero) / self.unit
        rewards: list[float] = (torch.sigmoid(z) if self.options.squash == "sigmoid" else z).tolist()
        return rewards
