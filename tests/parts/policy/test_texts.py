"""A prompt is written for the policy by its tokenizer's own chat template, and only where that is asked for."""

import shutil
from pathlib import Path

import pytest

from safelab.contracts import Policy
from safelab.errors import ConfigError, DataError
from safelab.parts.policy._texts import Texts, rows_of
from safelab.parts.policy.causal_lm import CausalLm
from support.models import WORDS, context, model_directory
from support.runs import run, small, trained
from support.tokenizers import tokenizer

# Of a kind with the published ones: a turn's role, its content, its end, and what opens the answer.
CHAT = """{%- for m in messages -%}
{%- if m.content == 'f' -%}{{ raise_exception('no f here') }}{%- endif -%}
{{ '<pad> ' if m.role == 'user' else 'token ' }}{{ m.content }} <end> {% endfor -%}
{%- if add_generation_prompt -%}good{%- endif -%}"""
HH = "\n\nHuman: a b\n\nAssistant: c\n\nHuman: d\n\nAssistant:"


def with_template(folder: Path) -> Path:
    """The tests' model with a chat template."""
    shutil.copytree(model_directory(), folder / "model")
    (folder / "model" / "chat_template.jinja").write_text(CHAT)
    return folder / "model"


def policy(path: Path, template: str, max_prompt_tokens: int = 16) -> Policy:
    option = CausalLm(
        name="causal_lm", path=str(path), dtype="float32", attention="sdpa", packing="auto",
        gradient_checkpointing=False, sharding="none", prompt_template=template, compile=False,
        max_prompt_tokens=max_prompt_tokens, sampling_temperature=1.0,
        adapter={"name": "none", "reference_dtype": None},
    )  # fmt: skip
    return option.build(context())


def words(policy: Policy, prompt: str) -> str:
    batch = policy.encode([prompt], [0])
    assert batch.texts == (prompt,)  # what a reward reads
    assert policy.count_tokens(prompt) >= batch.ids.shape[1]
    return " ".join(WORDS[index] for index in batch.ids[0].tolist())


@pytest.mark.parametrize(
    ("template", "prompt", "read"),
    [
        ("plain", "a b", "a b"),
        ("chat", "a b", "<pad> a b <end> good"),
        ("hh_chat", HH, "<pad> a b <end> token c <end> <pad> d <end> good"),
        ("hh_chat", "a b", "<pad> a b <end> good"),
    ],
)
def test_what_the_policy_reads(template: str, prompt: str, read: str, tmp_path: Path) -> None:
    assert words(policy(with_template(tmp_path), template), prompt) == read


def test_a_long_chat_keeps_what_opens_the_answer(tmp_path: Path) -> None:
    short = policy(with_template(tmp_path), "chat", max_prompt_tokens=3)
    assert words(short, "a b c d") == "d <end> good"
    assert short.count_tokens("a b c d") == 7


def test_a_tokenizer_without_a_template_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"policy\.prompt_template must be plain, got chat: the tokenizer of .* has no"
    ):
        policy(model_directory(), "chat")


def test_a_prompt_that_the_template_refuses_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"refuses 'f': no f here; use policy\.prompt_template=plain"):
        policy(with_template(tmp_path), "chat").encode(["f"], [0])


def test_a_run_on_chats(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    path = with_template(tmp_path / "prompts")
    config = small(tmp_path, f"policy.path={path}", "policy.prompt_template=hh_chat")
    (tmp_path / "prompts.txt").write_text("a b\nc\n")
    _, _, rows = trained(config)
    assert rows[0]["kl/ref_token_exact"] == pytest.approx(0.0, abs=1e-6)
    assert len(rows) == 3


def test_a_chat_template_that_is_passed_by_is_told_once(tmp_path: Path, capsys) -> None:
    (tmp_path / "prompts").mkdir()
    words = [f"policy.path={with_template(tmp_path / 'prompts')}", "data.skip_unfit=true", "updates=2"]
    outcome, _ = run(small(tmp_path, *words))
    told = "this model's tokenizer has a chat template, and policy.prompt_template=plain passes it by"
    assert capsys.readouterr().err.count(told) == 1
    assert (outcome.directory / "events.jsonl").read_text().count(told) == 1
    run(small(tmp_path, *words, "experiment=chat", "policy.prompt_template=chat"))
    assert told not in capsys.readouterr().err


def test_prompt_and_response_are_one_text_and_the_end_token_ends_no_prompt() -> None:
    """With a tokenizer whose words carry the space in front, and which closes every text with its end token."""
    reads = tokenizer("sentencepiece", "<s> $A </s>")
    texts = Texts(reads, "plain", 64)
    prompts = rows_of(*texts.prompts(["Lily had a", "The dog"]))
    answers = rows_of(*texts.responses(["Lily had a", "The dog"], [" dog.", " had"], [True, False], None))
    assert prompts[0] + answers[0] == reads("Lily had a dog.")["input_ids"]
    assert reads.decode(prompts[1] + answers[1], skip_special_tokens=True) == "The dog had"
    assert texts.decode(prompts, answers) == (" dog.", " had")


def test_prompts_that_the_template_refuses_are_found_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    path = with_template(tmp_path / "prompts")
    config = small(tmp_path, f"policy.path={path}", "policy.prompt_template=chat")
    with pytest.raises(DataError, match=r"1 of 6 prompts cannot be read: .* refuses 'f'"):
        trained(config)
    _, _, rows = trained({**config, "data": {**config["data"], "skip_unfit": True}})
    assert len(rows) == 3
