"""A classifier of another tokenizer as reward: the same numbers one by one and in any batch."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from safelab.corpus.dialogue import hh_messages, texts
from safelab.errors import ConfigError
from safelab.plugins import build_option
from support.folders import scratch
from support.models import context

CONF = Path(__file__).parents[3] / "conf" / "reward" / "sequence_classifier.yaml"
CHAT = "{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}"
SMALL: dict[str, Any] = {
    "vocab_size": 12,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


@cache
def classifier(kind: str, labels: int = 1) -> Path:
    """A random classifier with a tokenizer that is not the policy's."""
    directory = scratch("classifier")
    words = ("[pad]", "[end]", "[unk]", "yes", "no", "a", "b", "c", "<user>", "<assistant>", "x", "y")
    raw = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[unk]"))
    raw.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[pad]", eos_token="[end]", unk_token="[unk]", chat_template=CHAT
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        if kind == "bert":
            model = BertForSequenceClassification(BertConfig(**SMALL, num_labels=labels, pad_token_id=0))
        elif kind != "causal":
            config = {"llama": LlamaConfig, "qwen2": Qwen2Config, "gpt2": GPT2Config}[kind]
            model = AutoModelForSequenceClassification.from_config(config(**SMALL, num_labels=labels, pad_token_id=0))
        else:
            model = LlamaForCausalLM(LlamaConfig(**SMALL, pad_token_id=0))
        for weight in model.parameters():
            weight.data.mul_(8.0 if weight.ndim > 1 else 1.0)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def reward(path: Path | str, **changes: Any) -> Any:
    options = {**yaml.safe_load(CONF.read_text()), "path": str(path), **changes}
    return build_option("reward", options, context())


PROMPTS, RESPONSES = ["a b ", "c ", "a ", "b b b "], ["yes", "no no no", "x y yes no", "yes"]
ENDED = [True] * 4
PAIRS = list(zip(PROMPTS, RESPONSES, strict=True))


KINDS = {"llama": "stream", "qwen2": "stream", "gpt2": "stream", "bert": None}
"""Architectures, and how each is read without padding."""


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_each_text_by_itself(kind: str) -> None:
    made = reward(classifier(kind), max_tokens=512)
    assert (made.reader and made.reader.way) == KINDS[kind]
    model = AutoModelForSequenceClassification.from_pretrained(classifier(kind)).eval()
    texts = ["a b yes", "c no no no", "a x y yes no", "b b b yes", "b b b no x", "a yes"]
    prompts = ["a b ", "c ", "a ", "b b b ", "b b b ", "a "]
    responses = [text.removeprefix(prompt) for text, prompt in zip(texts, prompts, strict=True)]
    with torch.no_grad():
        alone = [model(input_ids=torch.tensor([made.tokenizer(text)["input_ids"]])).logits.item() for text in texts]
    assert made.score(prompts, responses, [True] * 6) == pytest.approx(alone, abs=1e-5)
    half = reward(classifier(kind), max_tokens=512, dtype="bfloat16")
    assert half.score(prompts, responses, [True] * 6) == pytest.approx(alone, abs=0.1 * max(map(abs, alone)))


def test_a_stream_holds_no_padding_and_what_texts_of_one_prompt_share_once() -> None:
    made, read = reward(classifier("llama")), []
    made.model.get_input_embeddings().register_forward_pre_hook(lambda _, given: read.append(given[0].numel()))
    made.score(["a b c ", "a b c ", "x "], ["yes", "no no", "y y y y"], [True] * 3)
    assert read == [3 + 1 + 2 + 5]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_change_no_number(kind: str) -> None:
    # 512 are the positions of this BERT.
    whole = reward(classifier(kind), max_tokens=512).score(PROMPTS, RESPONSES, ENDED)
    alone = [reward(classifier(kind), max_tokens=512, batch_size=1).score([p], [r], [True])[0] for p, r in PAIRS]
    assert whole == pytest.approx(alone, abs=1e-5)
    assert len({round(value, 4) for value in whole}) == 4


def test_it_is_the_output_of_the_model_itself() -> None:
    model = LlamaForSequenceClassification.from_pretrained(classifier("llama", 3)).eval()
    with torch.no_grad():
        z = model(input_ids=torch.tensor([[5, 6, 3]])).logits[0]
    assert reward(classifier("llama", 3), label=2).score(["a b "], ["yes"], [True]) == pytest.approx(
        [z[2].item()], abs=1e-6
    )
    squashed = reward(classifier("llama", 3), label=2, squash="sigmoid").score(["a b "], ["yes"], [True])
    assert squashed == pytest.approx([torch.sigmoid(z[2]).item()], abs=1e-6)


def test_long_texts_lose_their_beginning() -> None:
    short = reward(classifier("llama"), max_tokens=2).score(["a b c "], ["yes"], [True])
    assert short == pytest.approx(reward(classifier("llama")).score(["c "], ["yes"], [True]), abs=1e-6)


def test_templates() -> None:
    prompt = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
    assert [turn["role"] for turn in hh_messages(prompt)] == ["user", "assistant", "user"]
    tokenizer = reward(classifier("llama")).tokenizer
    assert texts("plain", tokenizer, ["p "], ["r"]) == ["p r"]
    assert texts("chat", tokenizer, ["a"], [" yes "]) == ["<user> a <assistant> yes "]
    assert texts("hh_chat", tokenizer, [prompt], [" yes"]) == ["<user> a <assistant> b <user> c <assistant> yes "]
    assert hh_messages("no turns") == [{"role": "user", "content": "no turns"}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "nowhere"}, r"reward\.path must be a directory or hub name of a sequence classifier, got 'nowhere'"),
        ({"path": "causal"}, r"reward\.path must have all weights, .* which lacks score\.weight: they would be random"),
        ({"label": 1}, r"reward\.label must be below 1, got 1"),
    ],
)
def test_what_is_no_reward_model_stops_before_anything_is_trained(changes: dict[str, Any], message: str) -> None:
    path = classifier("causal") if changes.get("path") == "causal" else changes.get("path", classifier("llama"))
    with pytest.raises(ConfigError, match=message):
        reward(path, **{key: value for key, value in changes.items() if key != "path"})


def test_a_chat_template_that_is_not_there_is_refused(tmp_path: Path) -> None:
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(classifier("llama"), bare)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(ConfigError, match=r"reward\.template must be plain, got chat"):
        reward(bare, template="chat")


def test_more_tokens_than_positions_is_told_when_it_is_loaded() -> None:
    with pytest.raises(ConfigError, match=r"reward\.max_tokens must be at most the 512 positions .*max_tokens=512"):
        reward(classifier("bert"))


def test_a_score_that_padding_moves_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = BertForSequenceClassification.forward

    def unmasked(self, input_ids, attention_mask, **others):
        return plain(self, input_ids=input_ids, **others)

    monkeypatch.setattr(BertForSequenceClassification, "forward", unmasked)
    with pytest.raises(ConfigError, match=r"reward\.path must score a text in a padded batch as it scores it alone"):
        reward(classifier("bert"), max_tokens=512)


def test_on_the_scale_of_the_pairs_kept_back(tmp_path: Path) -> None:
    model = tmp_path / "rm"
    shutil.copytree(classifier("llama"), model)
    (model / "training.json").write_text(json.dumps({"after": {"score_mean_held_out": 0.5, "score_sd_held_out": 4.0}}))
    judged = ["a", "b"], ["yes no", "c"], [True, True]
    raw, scaled = (reward(model, scale=scale).score(*judged) for scale in ("raw", "held_out"))
    assert scaled == pytest.approx([(z - 0.5) / 4.0 for z in raw])


def test_a_scale_that_nobody_measured_and_one_beside_a_squash_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"reward\.scale=held_out needs a model with .*make it anew"):
        reward(classifier("llama"), scale="held_out")
    with pytest.raises(ConfigError, match="squash must be none with scale=held_out"):
        reward(classifier("llama"), scale="held_out", squash="sigmoid")
