"""The format of HH-RLHF: gzipped JSON lines with the texts ``chosen`` and ``rejected``, two ends of one dialogue.

Both texts are a dialogue of turns that begin with ``\\n\\nHuman:`` and ``\\n\\nAssistant:``; they share all but the
last answer. Ref: Bai et al. 2022, arXiv 2204.05862; the data set Anthropic/hh-rlhf (MIT).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from safelab.corpus.lines import read_lines, record_of, texts_of
from safelab.errors import DataError
from safelab.types import Pair

ASSISTANT = "\n\nAssistant:"


class Dialogues(NamedTuple):
    """One record: a pair, and whether both its answers answer the same dialogue."""

    pair: Pair
    agree: bool


def read_dialogues(path: Path, key: str = "data.path") -> list[Dialogues]:
    """Every record of a file, gzipped or not: prompts are dialogues up to the last ``Assistant:`` of ``chosen``.

    Args:
        path: of the file.
        key: of the configuration that names it, for messages.

    Raises:
        DataError: the file cannot be read, or a record is none of this format; with its line.
    """
    return [_dialogues(line, f"{path}, line {number}", key) for number, line in read_lines(path, key)]


def agreeing(records: Sequence[Dialogues], key: str, say: Callable[[str], None]) -> list[Pair]:
    """The pairs of two answers to one dialogue; the others compare nothing, and are left out.

    Args:
        records: of a file.
        key: of the configuration that names it, for the message.
        say: is told how many are left out.

    Raises:
        DataError: no pair is left.
    """
    pairs = [record.pair for record in records if record.agree]
    if lost := len(records) - len(pairs):
        say(f"{key}: {lost} of {len(records)} pairs answer two different dialogues and are left out")
    if records and not pairs:
        raise DataError(
            f"{key} must hold pairs of answers to one dialogue, got {len(records)} records and none of these"
        )
    return pairs


def read_pairs(path: Path, key: str = "data.path", say: Callable[[str], None] = lambda text: None) -> list[Pair]:
    """Every preference of a file; see ``read_dialogues`` and ``agreeing``."""
    return agreeing(read_dialogues(path, key), key, say)


def locate(path: str, subset: str, split: str, key: str = "data.path") -> Path:
    """The file itself: a local one, or ``subset/split.jsonl.gz`` of a data set of the hub, fetched into its cache.

    Args:
        path: a file, or a data set's name on the hub.
        subset: a folder of it; of the hub only.
        split: of the hub only.
        key: of the configuration that names it, for messages.

    Raises:
        DataError: there is no such file, and no such data set can be reached.
    """
    local = Path(path)
    if local.exists():
        return local
    if local.suffix in (".gz", ".jsonl") or path.count("/") != 1:
        raise DataError(f"{key} must be a file of HH-RLHF or its name on the hub, got {path}, which is neither")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name = f"{subset}/{split}.jsonl.gz"
    try:
        return Path(hf_hub_download(path, name, repo_type="dataset"))
    except HFValidationError as error:
        raise DataError(
            f"{key} must be a file of HH-RLHF or its name on the hub, got {path!r}: there is no such file, and no "
            "data set can have that name"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise DataError(
            f"{key}={path} ({name}) must be in the hub's cache or reachable ({type(error).__name__}); "
            f"fetch it first, or give {key}=FILE.jsonl.gz"
        ) from error


def first_turn(pair: Pair) -> str:
    """The first human turn only, up to and with the first ``Assistant:``, as SAFE's released code cuts its prompts."""
    head, mark, _ = pair.prompt.partition(ASSISTANT)
    return head + mark


def last_turn(pair: Pair) -> str:
    """The whole dialogue up to and with the last ``Assistant:``, which is what the two answers answer."""
    return pair.prompt


def _dialogues(line: str, where: str, key: str) -> Dialogues:
    chosen, rejected = texts_of(record_of(line, where, key), ("chosen", "rejected"), where)
    for name, text in (("chosen", chosen), ("rejected", rejected)):
        if ASSISTANT not in text:
            raise DataError(f"{where}: {name} must be a dialogue with a turn {ASSISTANT.strip()!r}, got {text!r:.60}")
    prompt, mark, answer = chosen.rpartition(ASSISTANT)
    other_prompt, _, other = rejected.rpartition(ASSISTANT)
    return Dialogues(Pair(prompt=prompt + mark, chosen=answer, rejected=other), prompt == other_prompt)
