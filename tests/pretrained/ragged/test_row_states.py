"""What a head reads of rows without padding is what the model says of each row by itself."""

import copy
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoModelForTokenClassification

from safelab.pretrained.heads import backbone
from safelab.pretrained.ragged.row_states import begun_alike, neighbours, until_last_other
from safelab.pretrained.ragged.ways import is_random, reader_of, way_of
from support.architectures import OWN, SIZES, tokenizer

QUIET = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
MODELS: dict[str, dict[str, Any]] = {
    "LlamaConfig": OWN["LlamaConfig"],
    "Qwen2Config": OWN["LlamaConfig"],
    "MistralConfig": OWN["MistralConfig"],
    "GPT2Config": {**OWN["GPT2Config"], **QUIET},
}
ENCODER = {"intermediate_size": 64, "max_position_embeddings": 64}
ROWS = [([5, 6, 7, 8], [9, 10]), ([11, 12], [13] * 9), ([5, 6, 7, 8], [20, 21, 22]), ([30], []), ([5, 6, 7, 8], [])]


def made(name: str, loader: Any, **changes: Any) -> Any:
    config = getattr(transformers, name)(**{**SIZES, **MODELS.get(name, ENCODER), **changes})
    torch.manual_seed(3)
    model = loader.from_config(config).eval()
    for weight in model.parameters():
        weight.data.mul_(4.0 if weight.ndim > 1 else 1.0)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_states_and_gradients_are_those_of_each_row_by_itself(name: str) -> None:
    model = made(name, AutoModelForCausalLM)
    plain = copy.deepcopy(model)
    reader = reader_of(model, tokenizer(), learns=True)
    assert reader is not None
    assert reader.way == "stream"
    found = reader.states(ROWS)
    alone = [
        backbone(plain)(input_ids=torch.tensor([prompt + rest])).last_hidden_state[0, len(prompt) - 1 :]
        for prompt, rest in ROWS
    ]
    for mine, own in zip(found, alone, strict=True):
        assert torch.allclose(mine, own, atol=1e-5)
    for states, owner in ((found, model), (alone, plain)):
        owner.get_output_embeddings()(torch.cat(states)).square().mean().backward()
    for mine, own in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(mine.grad, own.grad, atol=1e-5 * float(own.grad.abs().max().clamp(min=1)))


@pytest.mark.parametrize("name", MODELS)
def test_a_classifiers_last_logits_are_its_own(name: str) -> None:
    model = made(name, AutoModelForSequenceClassification, num_labels=3)
    texts = [[5, 6, 7, 8, 9], [5, 6, 7, 30], [12], [5, 6, 0, 7, 0, 0], [0, 0], [40, 41, 42, 43, 44, 45, 46, 47]]
    with torch.no_grad():
        alone = torch.cat([model(input_ids=torch.tensor([text])).logits for text in texts])
        reader = reader_of(model, tokenizer())
        assert reader is not None
        found = reader.last_logits(texts, groups=[1, 1, 2, 1, 3, 4])
        assert torch.allclose(found, alone, atol=1e-5)
        # An empty text is one padding token.
        assert torch.allclose(reader.last_logits([[]], [0]), alone[4:5], atol=1e-5)


def test_texts_of_a_group_share_what_they_begin_with() -> None:
    texts = [[1, 2, 3, 4], [1, 2, 5], [1, 2], [9, 9], [1, 2, 3]]
    assert begun_alike(texts, "aaabb") == [([1, 2], [3, 4]), ([1, 2], [5]), ([1, 2], []), ([], [9, 9]), ([], [1, 2, 3])]


def test_rows_with_one_prompt_become_neighbours() -> None:
    assert neighbours([[1, 2], [3], [1, 2], [], [3], [4]]) == [0, 2, 1, 4, 3, 5]


def test_padding_tokens_at_the_end_are_passed_over_and_others_are_not() -> None:
    assert [until_last_other(text, 0) for text in ([3, 0, 4, 0, 0], [3], [0], [])] == [[3, 0, 4], [3], [], []]


@pytest.mark.parametrize("name", ["BertConfig", "RobertaConfig", "DistilBertConfig", "ModernBertConfig"])
@pytest.mark.parametrize("loader", [AutoModelForSequenceClassification, AutoModelForTokenClassification])
def test_an_encoder_is_read_as_it_stands(name: str, loader: Any) -> None:
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64} if name == "DistilBertConfig" else {}
    tokens = {f"{kind}_token_id": 2 for kind in ("cls", "sep")} if name == "ModernBertConfig" else {}
    assert reader_of(made(name, loader, **sizes, **tokens), tokenizer()) is None


def test_a_head_that_is_more_than_a_map_of_the_last_state_is_read_as_it_stands() -> None:
    class Pooled(transformers.LlamaForSequenceClassification):
        """Reads the first token."""

        def forward(self, input_ids: Any, **others: Any) -> Any:
            output = super().forward(input_ids=input_ids, **others)
            output.logits = self.score(self.model(input_ids=input_ids).last_hidden_state[:, 0])
            return output

    config = made("LlamaConfig", AutoModelForSequenceClassification).config
    assert reader_of(Pooled(config).eval(), tokenizer()) is None
    dense = made("LlamaConfig", AutoModelForSequenceClassification)
    dense.score = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    found = reader_of(dense, tokenizer())
    assert found is not None  # whatever its kind, it reads the last state and nothing else
    assert torch.allclose(
        found.last_logits([[5, 6, 7]], [0]), dense(input_ids=torch.tensor([[5, 6, 7]])).logits, atol=1e-5
    )
    assert reader_of(made("LlamaConfig", AutoModelForCausalLM, num_labels=1).model, tokenizer()) is None


@pytest.mark.parametrize("changes", [{"attention_dropout": 0.1}, {"resid_pdrop": 0.1}, {"attn_pdrop": 0.1}])
def test_a_model_with_dropout_learns_as_it_stands_and_is_scored_without_padding(changes: dict[str, float]) -> None:
    name = "LlamaConfig" if "attention_dropout" in changes else "GPT2Config"
    model = made(name, AutoModelForCausalLM, **changes)
    before = torch.random.get_rng_state()
    assert is_random(model, tokenizer())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not model.training
    assert reader_of(model, tokenizer(), learns=True) is None
    assert reader_of(model, tokenizer()) is not None


def test_attention_that_cannot_be_replaced_reads_rows_of_like_length() -> None:
    model = made("LlamaConfig", AutoModelForCausalLM)
    model.set_attn_implementation("eager")
    assert way_of(model, tokenizer()) == "rows"
    reader = reader_of(model, tokenizer())
    assert reader is not None
    for mine, (prompt, rest) in zip(reader.states(ROWS), ROWS, strict=True):
        own = model.model(input_ids=torch.tensor([prompt + rest])).last_hidden_state[0, len(prompt) - 1 :]
        assert torch.allclose(mine, own, atol=1e-5)


def test_a_window_that_only_masks_know_is_not_read_as_a_stream() -> None:
    # Longer than the rows of the look at the model, so that it shows in none of their states.
    window = {"sliding_window": 20, "use_sliding_window": True, "max_window_layers": 0, "num_experts": 4}
    model = made("Qwen2MoeConfig", AutoModelForCausalLM, **window, num_key_value_heads=2)
    row = [5 + number % 40 for number in range(30)], [50, 51]
    own = model.model(input_ids=torch.tensor([row[0] + row[1]])).last_hidden_state[0, len(row[0]) - 1 :]
    reader = reader_of(model, tokenizer())
    assert reader is not None
    assert reader.way == "rows"
    assert torch.allclose(reader.states([row])[0], own, atol=1e-5)
