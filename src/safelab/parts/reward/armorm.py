"""ArmoRM: a reward for each of several objectives, weighed by a gate that has read the prompt only. Natively.

    r = W h_end                    h_end: last hidden state of the whole dialogue;  W: [objectives, d]
    g = softmax(MLP(h_gate) / temperature) logit_scale       h_gate: where the assistant's last turn begins
    reward = sum_k g_k (r M)_k     M: takes out what verbosity explains of each objective

No remote code is run: the layout of the checkpoint is read by the class below. There is no heuristic to fall back on.
Ref: Wang et al. 2024, arXiv 2406.12845; checkpoint RLHFlow/ArmoRM-Llama3-8B-v0.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from safelab.contracts import Context, Part, Reward
from safelab.corpus.dialogue import Template, check_template, padded, texts
from safelab.errors import RunFailed
from safelab.options import PathOrHub
from safelab.parts.reward._batches import by_length
from safelab.pretrained.adapters import refuse_adapter
from safelab.pretrained.limits import check_reach
from safelab.pretrained.load import Source, tokenizer_of, weights_of
from safelab.pretrained.ragged.row_states import RowReader
from safelab.pretrained.ragged.ways import way_of
from safelab.pretrained.whole import check_rows


class Armorm(Part):
    """``path``: a directory or hub name. ``template``: see ``dialogue``; the model was trained on chats.

    ``gate_at``: the text with whose last occurrence the assistant's turn begins; the gate reads its first token.
    ``max_tokens``: longer dialogues lose their beginning. ``batch_size``: dialogues per forward pass.
    """

    path: PathOrHub
    template: Template
    gate_at: str
    dtype: Literal["float32", "bfloat16"]
    max_tokens: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]

    def build(self, context: Context) -> Reward:
        """Load model and tokenizer; nothing is trained if that fails.

        Raises:
            ConfigError: nothing loadable there, or no chat template where one is asked for.
        """
        source = Source("reward.path", self.path, "of an ArmoRM", "give RLHFlow/ArmoRM-Llama3-8B-v0.1 or one like it")
        refuse_adapter(source)
        model = load(source, getattr(torch, self.dtype))
        tokenizer = tokenizer_of(source, padding_side="right", truncation_side="left")
        check_rows("reward.path", self.path, model, tokenizer)
        check_reach("reward.max_tokens", self.max_tokens, self.path, model.config)
        check_template("reward.template", self.template, tokenizer, self.path)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        gate_at = tokenizer(self.gate_at, add_special_tokens=False)["input_ids"]
        way = way_of(model.to(context.device).eval(), tokenizer)
        return ArmoReward(self, model, tokenizer, gate_at, None if way == "padded" else RowReader(model, way))


class Gating(nn.Module):
    """MLP with ReLU between its layers, then softmax at a temperature, then one learnt scale."""

    def __init__(self, width: int, objectives: int, hidden: int, layers: int, gating_temperature: float) -> None:
        super().__init__()
        sizes = [width, *[hidden] * layers, objectives]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.logit_scale = nn.Parameter(torch.ones(1))
        self.gating_temperature = gating_temperature

    def forward(self, hidden: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """The weight of each objective."""
        *inner, last = self.layers
        for layer in inner:
            hidden = torch.relu(layer(hidden))
        weights: Tensor = torch.softmax(last(hidden) / self.gating_temperature, dim=-1) * self.logit_scale
        return weights


def load(source: Source, dtype: torch.dtype) -> Any:
    """The checkpoint as a model with ``model``, ``regression_layer``, ``reward_transform_matrix`` and ``gating``.

    Raises:
        ConfigError: nothing there, or weights that are missing.
    """
    from transformers import LlamaModel
    from transformers.models.llama.modeling_llama import LlamaPreTrainedModel

    class ArmoRM(LlamaPreTrainedModel):  # type: ignore[misc]
        """A subclass only so that ``from_pretrained`` finds shards, hub files and precision as for any model."""

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            objectives = int(getattr(config, "num_objectives", 19))
            self.model = LlamaModel(config)
            self.regression_layer = nn.Linear(config.hidden_size, objectives, bias=False)
            self.reward_transform_matrix = nn.Parameter(torch.zeros(objectives, objectives), requires_grad=False)
            self.gating = Gating(
                config.hidden_size,
                objectives,
                int(getattr(config, "gating_hidden_dim", 1024)),
                int(getattr(config, "gating_n_hidden", 3)),
                float(getattr(config, "gating_temperature", 10)),
            )
            self.post_init()

    return weights_of(ArmoRM, source, dtype=dtype)[0]


@dataclass(frozen=True, slots=True)
class ArmoReward(Reward):
    """The model with its tokenizer, read as ``options`` say; ``gate_at`` as tokens.

    ``reader``: reads its layers without padding, None where they need some.
    """

    options: Armorm
    model: Any
    tokenizer: Any
    gate_at: list[int]
    reader: RowReader | None

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that the chat template refuses."""
        texts(self.options.template, self.tokenizer, [prompt], [""])

    @torch.no_grad()
    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """One reward per dialogue.

        Raises:
            RunFailed: a dialogue in which the assistant's turn is not found.
        """
        options = self.options
        shown = texts(options.template, self.tokenizer, prompts, responses)
        found = self.tokenizer(shown, truncation=True, max_length=options.max_tokens, add_special_tokens=False)
        rows: list[list[int]] = found["input_ids"]
        if self.reader is None:
            return by_length(rows, options.batch_size, self._read_padded)
        pieces = [rows[start : start + options.batch_size] for start in range(0, len(rows), options.batch_size)]
        return [reward for piece in pieces for reward in self._read(self.reader, piece)]

    def _read(self, reader: RowReader, rows: list[list[int]]) -> list[float]:
        ends = [self._begin(row) + 1 for row in rows]
        states = reader.states([(row[:end], row[end:]) for row, end in zip(rows, ends, strict=True)])
        return self._rewards(torch.stack([each[0] for each in states]), torch.stack([each[-1] for each in states]))

    def _read_padded(self, rows: list[list[int]]) -> list[float]:
        inputs = padded(self.tokenizer, rows).to(self.model.device)
        hidden = self.model.model(**inputs, use_cache=False).last_hidden_state
        place = torch.tensor([[self._begin(row), len(row) - 1] for row in rows], device=hidden.device)
        row = torch.arange(len(rows), device=hidden.device)
        return self._rewards(hidden[row, place[:, 0]], hidden[row, place[:, 1]])

    def _rewards(self, gate_states: Float[Tensor, "b d"], last_states: Float[Tensor, "b d"]) -> list[float]:
        objectives = self.model.regression_layer(last_states) @ self.model.reward_transform_matrix
        values: list[float] = (self.model.gating(gate_states) * objectives).sum(dim=-1).float().tolist()
        return values

    def _begin(self, ids: list[int]) -> int:
        """Where ``gate_at`` last occurs."""
        wanted = self.gate_at
        for start in range(len(ids) - len(wanted), -1, -1):
            if ids[start : start + len(wanted)] == wanted:
                return start
        raise RunFailed(
            f"reward.gate_at must occur in every dialogue, and {self.options.gate_at!r} is not in one of {len(ids)} "
            "tokens; mend reward.gate_at, or raise reward.max_tokens"
        )
