"""Response and prompt make one text: by four kinds of tokenizer, with the whole text's own tokens as the oracle."""

import json
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from safelab.corpus.continuation import answer_ids, prompt_ids, response_text, spelled

TEXTS = ["Lily had a big dog. The dog had a red ball and a hat.", "é ü 0123 \n\nHuman: hi\n\nAssistant: yes"] * 6
KINDS = ("sentencepiece", "bytes", "wordpiece", "words")


def tokenizer(kind: str, special: str = "<s> $A") -> Any:
    """A small tokenizer of one kind, trained on ``TEXTS``."""
    if kind == "sentencepiece":  # as Llama 2 and Mistral have it, with bytes for what is not in the vocabulary
        made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        made.decoder = decoders.Sequence(steps)
        trainer = trainers.BpeTrainer(
            vocab_size=120, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False, limit_alphabet=40
        )
    elif kind == "bytes":  # as GPT-2 and Llama 3
        made = Tokenizer(models.BPE())
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=320, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
    elif kind == "wordpiece":  # as BERT
        made = Tokenizer(models.WordPiece(unk_token="<unk>"))
        made.pre_tokenizer, made.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece(cleanup=False)
        trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    else:  # as the embedded world
        made = Tokenizer(models.WordLevel(unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer = trainers.WordLevelTrainer(special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    made.train_from_iterator(TEXTS, trainer)
    if kind == "sentencepiece":
        made = with_bytes(made)
    numbers = [(name, made.token_to_id(name)) for name in ("<s>", "</s>")]
    made.post_processor = processors.TemplateProcessing(single=special, special_tokens=numbers)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def with_bytes(made: Tokenizer) -> Tokenizer:
    """The same with a token for each byte, which are no special ones."""
    content = json.loads(made.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)}
    return Tokenizer.from_str(json.dumps(content))


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
