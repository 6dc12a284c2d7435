"""Every architecture either writes what ``generate`` writes without padding, or is refused in one message."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Gemma3Config, Gemma3ForConditionalGeneration

from safelab.errors import ConfigError
from safelab.parts.policy import _probe
from safelab.parts.policy._growing_cache import GrowingReading
from safelab.parts.policy.causal_lm import CausalLm
from safelab.pretrained.ragged.ways import TOLERATED, error_of
from support.architectures import SIZES, WORDS, tokenizer, write
from support.models import context

PROMPTS = ["w3 w9 w40 w7 w22 w31", "w5", "w18 w2 w50"]
EAGER = {"BloomConfig", "MambaConfig", "Mamba2Config", "RwkvConfig"}
SOUND = ["LlamaConfig", "MistralConfig", "Gemma3TextConfig", "MixtralConfig", "GPT2Config", "BloomConfig", "OPTConfig",
         "MambaConfig", "Mamba2Config", "JambaConfig"]  # fmt: skip


def policy(path: Path, **changes: Any) -> Any:
    options = {
        "name": "causal_lm", "path": str(path), "dtype": "float32", "attention": "sdpa", "packing": "auto",
        "compile": False,
        "gradient_checkpointing": False, "sharding": "none", "prompt_template": "plain", "max_prompt_tokens": 16,
        "sampling_temperature": 1.0, "adapter": {"name": "none", "reference_dtype": None}, **changes,
    }  # fmt: skip
    return CausalLm(**options).build(context())


def attention(name: str) -> str:
    return "eager" if name in EAGER else "sdpa"


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_greedy_responses_to_padded_prompts_are_those_of_generate_without(name: str, tmp_path: Path) -> None:
    found = policy(write(name, tmp_path), attention=attention(name))
    prompts = found.encode(PROMPTS, range(3))
    ids, mask = found.generate(prompts, 8, seeds=None)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation=attention(name)).eval()
    for row, text in enumerate(PROMPTS):
        own = torch.tensor([[WORDS.index(word) for word in text.split()]])
        want = model.generate(
            input_ids=own, attention_mask=torch.ones_like(own), max_new_tokens=8, do_sample=False, pad_token_id=0
        )[0, own.shape[1] :].tolist()
        assert ids[row][mask[row]].tolist() == want
    hidden = found.model.hidden(prompts.ids, prompts.mask, ids, mask)
    assert hidden.shape == (3, ids.shape[1] + 1, found.hidden_size)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("RwkvConfig", "must read a prompt that is padded on the left as it reads it without padding"),
        ("BartConfig", "must read a prompt that is padded on the left as it reads it without padding"),
        ("GraniteConfig", r"must have logits that are head\(hidden\)"),
    ],
)
def test_a_model_that_padding_or_its_head_makes_another_is_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"policy.path {said}"):
        policy(write(name, tmp_path), attention=attention(name))


def test_a_lost_cache_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(reading, ids, positions, stop):
        return reading._module(input_ids=ids).logits[:, -1]

    monkeypatch.setattr(GrowingReading, "__call__", without)
    with pytest.raises(ConfigError, match="must say with its cache, token by token, what it says without"):
        policy(write("LlamaConfig", tmp_path))


def test_a_cache_whose_rows_do_not_move_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a recurrent model, whose states are no keys and values.
    monkeypatch.setattr(GrowingReading, "keep", lambda reading, rows: None)
    with pytest.raises(ConfigError, match="must say with its cache, token by token, what it says without"):
        policy(write("MambaConfig", tmp_path), attention="eager")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LlamaConfig", "MixtralConfig", "GPT2Config"])
def test_bfloat16_rounds_less_than_is_tolerated_and_a_fault_is_seen_in_it(name: str, tmp_path: Path) -> None:
    module = policy(write(name, tmp_path), dtype="bfloat16").module
    batch = _probe.batch_for(module, tokenizer())
    with torch.no_grad():
        plain, padded = _probe.plain_logits(module, batch), _probe.uncached_logits(module, batch)
        moved = module(input_ids=batch.ids, use_cache=False).logits[:, -6:].float()  # no mask: padding is read as text
    assert error_of(padded, plain) < 0.1 * TOLERATED[torch.bfloat16]
    assert error_of(moved[1:], plain[1:]) > 2 * TOLERATED[torch.bfloat16]


def test_a_cache_of_fixed_size_that_the_model_has_none_of(tmp_path: Path) -> None:
    found = policy(write("MambaConfig", tmp_path), attention="eager")
    with pytest.raises(ConfigError, match=r"rollout\.decoding must be dynamic for a MambaForCausalLM"):
        found.generate(found.encode(PROMPTS, range(3)), 4, seeds=None, decoding="static")


def test_every_end_token_of_the_checkpoint_ends_a_response_and_is_kept(tmp_path: Path) -> None:
    path = write("LlamaConfig", tmp_path / "m")
    model = AutoModelForCausalLM.from_pretrained(path)
    first = torch.tensor([[WORDS.index(word) for word in PROMPTS[0].split()]])
    written = model.generate(input_ids=first, attention_mask=torch.ones_like(first), max_new_tokens=8, do_sample=False)
    stop = int(written[0, first.shape[1] + 3])
    model.generation_config.eos_token_id = [1, stop]
    model.save_pretrained(path)
    found = policy(path)
    assert found.ends == (1, stop)
    prompts = found.encode(PROMPTS[:1], [0])
    ids, mask = found.generate(prompts, 8, seeds=None)
    again = AutoModelForCausalLM.from_pretrained(path)
    want = again.generate(
        input_ids=first, attention_mask=torch.ones_like(first), max_new_tokens=8, do_sample=False, pad_token_id=0
    )[0, first.shape[1] :]
    assert ids[0][mask[0]].tolist() == want.tolist()
    assert found.ended(ids, mask).tolist() == [True]
    found.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "generation_config.json").read_text())["eos_token_id"] == [1, stop]


def lfs(path: Path) -> None:
    (path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def cut(path: Path) -> None:
    whole = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def weights(path: Path, change: Any) -> None:
    held = load_file(path / "model.safetensors")
    change(held)
    save_file(held, path / "model.safetensors", {"format": "pt"})


def lacking(path: Path) -> None:
    weights(path, lambda held: [held.pop(name) for name in list(held) if "layers.1." in name])


def left_over(path: Path) -> None:
    weights(path, lambda held: held.update({"model.layers.0.self_attn.q_proj.bias": torch.ones(32)}))


def nan(path: Path) -> None:
    weights(path, lambda held: held["model.layers.0.mlp.down_proj.weight"][0].fill_(torch.nan))


def told(path: Path, **keys: Any) -> None:
    file = path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))


def own_code(path: Path) -> None:
    told(path, auto_map={"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}, model_type="own_thing")
    (path / "own.py").write_text(f"open({str(path / 'RAN')!r}, 'w')\n")


def new_token(path: Path) -> None:
    words = tokenizer()
    words.add_special_tokens({"pad_token": "[PAD]"})
    words.save_pretrained(path)


DAMAGE = {
    "lfs": (lfs, r"must be a directory .*: model\.safetensors is a git-LFS pointer .*run git lfs pull"),
    "cut": (cut, "must be a directory or hub name of a causal language model"),
    "lacking": (lacking, r"must have all weights, got .* which lacks model\.layers\.1\..* they would be random"),
    "left over": (left_over, r"a place for, got .* with model\.layers\.0\.self_attn\.q_proj\.bias.* would be skipped"),
    "nan": (nan, r"must have finite weights, got .* in model\.layers\.0\.mlp\.down_proj\.weight"),
    "sizes": (
        lambda path: told(path, intermediate_size=48),
        "must have weights of the sizes that its config.json says",
    ),
    "quantised": (lambda path: told(path, quantization_config={"quant_method": "gptq", "bits": 4}), "full precision"),
    "no numbers": (lambda path: told(path, hidden_size="wide"), "must be a directory or hub name"),
    "config": (lambda path: (path / "config.json").write_text("[1, 2]"), "must be a directory or hub name"),
    "tokenizer": (lambda path: (path / "tokenizer.json").write_text("{}"), "must be a directory or hub name"),
    "own code": (own_code, "must be a directory or hub name"),
    "rows": (new_token, r"must have a row of the embedding for every token, got .* the token '\[PAD\]' numbered 63"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGE)
def test_a_checkpoint_as_people_have_them_is_one_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(prompt: str = "") -> str:
        raise AssertionError(f"nothing may be asked: {prompt}")

    monkeypatch.setattr("builtins.input", asked)
    damage, said = DAMAGE[name]
    damage(write("LlamaConfig", tmp_path))
    with pytest.raises(ConfigError, match=f"policy.path .*{said}|policy.path {said}") as caught:
        policy(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "RAN").exists()


def test_an_attention_that_the_model_lacks_is_the_key_that_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"policy\.attention must be .* got 'sdpa'.*; use eager"):
        policy(write("BloomConfig", tmp_path))


def test_a_language_model_inside_one_of_images_is_refused(tmp_path: Path) -> None:
    text = {**SIZES, "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 64}
    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64,
              "image_size": 28, "patch_size": 14}  # fmt: skip
    Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision)).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"policy\.path must be a model of text alone"):
        policy(tmp_path)


def test_positions_that_prompts_alone_use_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"policy\.max_prompt_tokens must be at most the 64 positions"):
        policy(write("GPT2Config", tmp_path), max_prompt_tokens=65)
    assert policy(tmp_path, max_prompt_tokens=64).positions == 64
    shutil.rmtree(tmp_path)
    assert policy(write("LlamaConfig", tmp_path), max_prompt_tokens=999).positions is None  # rotary: computed
