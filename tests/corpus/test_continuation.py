"""Response and prompt make one text: by four kinds of tokenizer, with the whole text's own tokens as the oracle."""

import pytest

from safelab.corpus.continuation import answer_ids, prompt_ids, response_text, spelled
from support.tokenizers import KINDS, tokenizer


@pytest.mark.parametrize("kind", ["sentencepiece", "bytes"])
@pytest.mark.parametrize(
    ("prompt", "answer"), [("Lily had a", " dog."), ("Lily had a big", " red ball"), ("The dog.\n\n", "yes"), ("a", "")]
)
def test_an_answer_has_the_tokens_of_the_whole_text(kind: str, prompt: str, answer: str) -> None:
    reads = tokenizer(kind)
    whole = reads(prompt + answer)["input_ids"]
    tokens = answer_ids(reads, prompt, answer)
    assert prompt_ids(reads, prompt) + tokens == whole
    assert response_text(reads, prompt_ids(reads, prompt), tokens) == answer


def test_a_word_behind_its_space_is_the_token_that_the_policy_would_write() -> None:
    reads = tokenizer("sentencepiece")
    assert reads.convert_ids_to_tokens(answer_ids(reads, "Lily had a", " dog"))[0].startswith("▁d")
    # The space alone makes the difference that a reward reads.
    assert response_text(reads, prompt_ids(reads, "Lily had a"), answer_ids(reads, "Lily had a", "dog")) == "dog"


@pytest.mark.parametrize("kind", ["sentencepiece", "bytes"])
@pytest.mark.parametrize(
    ("prompt", "answer"), [("Lily ha", "d a dog"), ("The ", "dog"), ("a\n", "\nyes"), ("a ", " b")]
)
def test_at_a_border_that_would_merge_the_prompt_stands_and_the_text_is_whole(
    kind: str, prompt: str, answer: str
) -> None:
    reads = tokenizer(kind)
    before = prompt_ids(reads, prompt)
    tokens = answer_ids(reads, prompt, answer)
    assert spelled(reads, before + tokens) == prompt + answer
    assert response_text(reads, before, tokens) == answer


def test_bytes_that_join_the_prompts_own_change_no_text_of_it() -> None:
    reads = tokenizer("sentencepiece")
    prompt = [*prompt_ids(reads, "a"), *reads.convert_tokens_to_ids(["<0xC5>", "<0x8D>"])]  # ō
    half = reads.convert_tokens_to_ids(["<0xC5>"])
    assert spelled(reads, prompt) == "aō"
    assert spelled(reads, prompt + half) == "a���"
    assert response_text(reads, prompt, half) == "�"
    assert response_text(reads, prompt, [*half, *reads.convert_tokens_to_ids(["<0x8D>"])]) == "ō"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("special", ["<s> $A </s>", "$A </s>", "<s> $A", "$A"])
def test_what_the_tokenizer_closes_a_text_with_is_no_part_of_a_prompt(kind: str, special: str) -> None:
    reads = tokenizer(kind, special)
    ids = prompt_ids(reads, "Lily had a")
    assert (ids[0] == reads.bos_token_id) == ("<s>" in special)
    assert reads.eos_token_id not in ids
    assert spelled(reads, ids) == "Lily had a"


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_are_no_text(kind: str) -> None:
    reads = tokenizer(kind)
    tokens = [*answer_ids(reads, "Lily had a", " big dog"), reads.eos_token_id]
    expected = {"wordpiece": " big dog", "words": "big dog"}.get(kind, " big dog")
    assert response_text(reads, prompt_ids(reads, "Lily had a"), tokens) == expected


def test_tokens_that_are_whole_words_are_read_by_themselves() -> None:
    reads = tokenizer("words")
    assert answer_ids(reads, "Lily had a", "big hat") == reads("big hat", add_special_tokens=False)["input_ids"]


def test_an_unknown_word_before_the_border_swallows_nothing() -> None:
    reads = tokenizer("wordpiece")
    assert reads.convert_ids_to_tokens(answer_ids(reads, "Lily §", "dog had")) == ["##d", "##o", "##g", "had"]
    assert reads.convert_ids_to_tokens(answer_ids(reads, "Lily §", " dog had")) == ["dog", "had"]
