"""Every way of reading ragged rows gives the states, and the gradients, that the model gives each row by itself."""

import copy

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from safelab.pretrained.ragged.attention import NAME, register
from safelab.pretrained.ragged.blocks import alike, blocks_of
from safelab.pretrained.ragged.layout import layout_of
from safelab.pretrained.ragged.stream import positions_read, read_stream

SIZE = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MODELS = {
    "llama": {},
    "qwen3": {"head_dim": 8},
    "mistral": {"sliding_window": 5},  # shorter than the rows
    "gemma3_text": {"sliding_window": 5, "head_dim": 8},  # some layers with a window, some without
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},  # learnt positions
}
PROMPTS, RESPONSES = [9, 4, 4, 4, 1, 12, 6], [1, 7, 3, 5, 2, 8, 6]


def rows() -> tuple[torch.Tensor, ...]:
    """Prompts of which rows 1, 2 and 3 share one, and responses."""
    draw = torch.Generator().manual_seed(0)
    lengths, answers = torch.tensor(PROMPTS), torch.tensor(RESPONSES)
    prompt_mask = torch.arange(12) >= 12 - lengths[:, None]
    mask = torch.arange(8) < answers[:, None]
    prompt_ids = torch.randint(3, 97, (7, 12), generator=draw)
    prompt_ids[2] = prompt_ids[3] = prompt_ids[1]
    ids = torch.randint(3, 97, (7, 8), generator=draw)
    return prompt_ids * prompt_mask, prompt_mask, ids * mask, mask


def model_of(kind: str):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**SIZE, **MODELS[kind]})
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval().base_model


def alone(body, prompt_ids, prompt_mask, ids, mask) -> list[torch.Tensor]:
    """The states of each row, read without its padding and without its neighbours."""
    states = []
    for row in range(len(ids)):
        prompt = prompt_ids[row][prompt_mask[row]]
        whole = torch.cat([prompt, ids[row][mask[row]]])[None]
        states.append(body(input_ids=whole, use_cache=False).last_hidden_state[0, len(prompt) - 1 :])
    return states


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(("way", "share"), [("rows", False), ("stream", False), ("stream", True)])
def test_states_and_gradients_are_those_of_each_row_by_itself(kind: str, way: str, share: bool) -> None:
    body = model_of(kind)
    plain, inputs = copy.deepcopy(body), rows()
    if way == "stream":
        register()
        body.set_attn_implementation(NAME)
    prompt_ids, prompt_mask, ids, mask = inputs
    layout = layout_of(prompt_ids, prompt_mask, mask, share=share)
    tokens = torch.cat([prompt_ids, ids], dim=1).flatten()[torch.from_numpy(layout.source)]
    found = read_stream(body, tokens, layout, way, torch.float32)[torch.from_numpy(layout.outputs)]
    wanted = alone(plain, *inputs)
    mine = [found[row, : len(states)] for row, states in enumerate(wanted)]
    assert torch.allclose(torch.cat(mine), torch.cat(wanted), atol=1e-5)
    slope = torch.linspace(-1, 1, wanted[0].shape[1])
    for states in (mine, wanted):
        (torch.cat(states) * slope).sum().backward()
    for packed, by_itself in zip(body.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(packed.grad, by_itself.grad, atol=1e-5 * float(by_itself.grad.abs().max().clamp(min=1)))


def test_a_stream_has_no_padding_and_rows_of_like_length_have_little() -> None:
    prompt_ids, prompt_mask, _, mask = rows()
    tokens = sum(PROMPTS) + sum(RESPONSES)
    assert positions_read(layout_of(prompt_ids, prompt_mask, mask, share=False), "stream") == tokens
    assert positions_read(layout_of(prompt_ids, prompt_mask, mask, share=True), "stream") == tokens - 2 * 4
    found = positions_read(layout_of(prompt_ids, prompt_mask, mask, share=False), "rows")
    # Lengths 3, 7, 9, 10, 11 | 12, 20: a block's longest is at most 1.25 times its shortest and 8 more.
    assert found == 5 * 11 + 2 * 20


def test_blocks_hold_every_token_once() -> None:
    prompt_ids, prompt_mask, _, mask = rows()
    layout = layout_of(prompt_ids, prompt_mask, mask, share=True)
    made = blocks_of(layout.segments, torch.device("cpu"), 1.1)
    assert sorted(made.back.tolist()) == sorted(set(made.back.tolist()))
    assert made.queries[made.back].tolist() == list(range(len(layout)))
    stream = torch.arange(len(layout))
    assert made.in_stream(made.as_queries(stream)).tolist() == stream.tolist()
    seen = [set(row.tolist()) for batch in made.as_keys(stream) for row in batch]
    segments = [segment for group in alike(layout.segments, 1.1) for segment in group]
    assert seen == [set(segment.keys().tolist()) for segment in segments]
    assert all(len({bool(s.prefix) for s in group}) == 1 for group in alike(layout.segments, 1.1))


def test_an_argument_that_changes_attention_is_refused() -> None:
    from safelab.pretrained.ragged.attention import attention

    prompt_ids, prompt_mask, _, mask = rows()
    blocks = blocks_of(layout_of(prompt_ids, prompt_mask, mask, share=False).segments, torch.device("cpu"), 1.1)
    q = torch.zeros(1, 2, int(prompt_mask.sum() + mask.sum()), 4)
    with pytest.raises(NotImplementedError, match="knows no softcap"):
        attention(None, q, q, q, None, blocks=blocks, softcap=30.0)
