"""ArmoRM on a small random checkpoint of its layout, against its formula written out."""

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from safelab.errors import ConfigError, RunFailed
from safelab.plugins import build_option
from support.folders import scratch
from support.models import context

CONF = Path(__file__).parents[3] / "conf" / "reward" / "armorm.yaml"
CHAT = "{% for m in messages %}<turn> <{{ m.role }}> {{ m.content }} {% endfor %}"
WORDS = ("[pad]", "[unk]", "<turn>", "<user>", "<assistant>", "a", "b", "c", "yes", "no")
OBJECTIVES, WIDTH, HIDDEN, GATING_TEMPERATURE = 5, 16, 8, 3.0


@cache
def checkpoint() -> Path:
    """The weights under the names that the published checkpoint has."""
    directory = scratch("armorm")
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        pad_token_id=0, num_objectives=OBJECTIVES, gating_hidden_dim=HIDDEN, gating_n_hidden=2,
        gating_temperature=GATING_TEMPERATURE, architectures=["LlamaForRewardModelWithGating"],
    )  # fmt: skip
    generator = torch.Generator().manual_seed(5)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        tensors = {f"model.{name}": 4 * weight for name, weight in LlamaModel(config).state_dict().items()}
    sizes = [WIDTH, HIDDEN, HIDDEN, OBJECTIVES]
    for index, (a, b) in enumerate(pairwise(sizes)):
        tensors |= {f"gating.layers.{index}.weight": random(b, a), f"gating.layers.{index}.bias": random(b)}
    tensors["gating.logit_scale"] = torch.tensor([1.7])
    tensors["regression_layer.weight"] = random(OBJECTIVES, WIDTH)
    tensors["reward_transform_matrix"] = torch.eye(OBJECTIVES) + 0.1 * random(OBJECTIVES, OBJECTIVES)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    # As on the hub: an auto_map to code that must not run.
    entry = {**config.to_dict(), "auto_map": {"AutoModelForSequenceClassification": "modeling_custom.Nothing"}}
    (directory / "config.json").write_text(json.dumps(entry))
    raw = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[unk]"))
    raw.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[pad]", unk_token="[unk]", chat_template=CHAT
    ).save_pretrained(directory)
    return directory


def reward(**changes: Any) -> Any:
    options = yaml.safe_load(CONF.read_text())
    own = {"path": str(checkpoint()), "template": "chat", "gate_at": "<turn> <assistant>", "dtype": "float32"}
    return build_option("reward", {**options, **own, **changes}, context())


def by_hand(words: str) -> float:
    tensors = load_file(checkpoint() / "model.safetensors")
    config = LlamaConfig.from_pretrained(checkpoint())
    model = LlamaModel(config).eval()
    model.load_state_dict({name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")})
    ids = [WORDS.index(word) for word in words.split()]
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    gate = hidden[ids.index(4) - 1]  # the <turn> before <assistant>
    for index in range(3):
        gate = tensors[f"gating.layers.{index}.weight"] @ gate + tensors[f"gating.layers.{index}.bias"]
        gate = gate.clamp(min=0) if index < 2 else gate
    weights = torch.softmax(gate / GATING_TEMPERATURE, dim=0) * 1.7
    objectives = (tensors["regression_layer.weight"] @ hidden[-1]) @ tensors["reward_transform_matrix"]
    return float((weights * objectives).sum())


def test_it_is_its_formula_in_any_batch() -> None:
    prompts, responses = ["a b", "c", "a a b"], ["yes", "no yes no", "no"]
    expected = [by_hand(f"<turn> <user> {p} <turn> <assistant> {r}") for p, r in zip(prompts, responses, strict=True)]
    made = reward()
    assert made.reader.way == "stream"
    assert made.score(prompts, responses, [True] * 3) == pytest.approx(expected, abs=1e-4)
    assert replace(made, reader=None).score(prompts, responses, [True] * 3) == pytest.approx(expected, abs=1e-4)
    assert reward(batch_size=2).score(prompts, responses, [True] * 3) == pytest.approx(expected, abs=1e-4)


def test_the_gate_reads_the_prompt_only() -> None:
    scorer = reward()
    seen: list[torch.Tensor] = []
    scorer.model.gating.register_forward_hook(lambda module, inputs, output: seen.append(output))
    scorer.score(["a b", "a b"], ["yes", "no no no"], [True, True])
    assert torch.allclose(seen[0][0], seen[0][1], atol=1e-6)


def test_a_dialogue_without_an_assistants_turn_stops_the_run() -> None:
    with pytest.raises(RunFailed, match=r"reward\.gate_at must occur in every dialogue"):
        reward(max_tokens=1).score(["a"], ["yes"], [True])


def test_what_is_no_armorm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reward\.path must be a directory or hub name of an ArmoRM, got 'nowhere'"):
        reward(path="nowhere")
    config = LlamaConfig.from_pretrained(checkpoint())
    LlamaModel(config).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"reward\.path must have all weights, .* which lacks gating"):
        reward(path=str(tmp_path))
