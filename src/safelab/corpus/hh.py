"""The format of HH-RLHF: gzipped JSON lines with the texts ``chosen`` and ``rejected``, two ends of one dialogue.

Both texts are a dialogue of turns that begin with ``\\n\\nHuman:`` and ``\\n\\nAssistant:``; they share all but the
last answer. Ref: Bai et al. 2022, arXiv 2204.05862; the data set Anthropic/hh-rlhf (MIT).
"""

import gzip
import json
import zlib
from pathlib import Path

from safelab.errors import DataError
from safelab.types import Pair

ASSISTANT = "\n\nAssistant:"


def read_pairs(path: Path, key: str = "data.path") -> list[Pair]:
    """Every preference of a file, gzipped or not: prompts are dialogues up to the last ``Assistant:``.

    Args:
        path: of the file.
        key: of the configuration that names it, for messages.

    Raises:
        DataError: the file cannot be read, or a record is none of this format; with its line.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{key} must be a readable file of HH-RLHF, got {path} ({reason})") from error
    pairs = [_pair(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()]
    if not pairs:
        raise DataError(f"{key} must hold at least one record, got {path} with none")
    return pairs


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
    local = Path(path).expanduser()
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


def _pair(line: str, where: str) -> Pair:
    try:
        record = json.loads(line)
        chosen, rejected = record["chosen"], record["rejected"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where}: a record must be a JSON object with chosen and rejected, got {line[:60]!r}"
        ) from error
    if not (isinstance(chosen, str) and isinstance(rejected, str)) or ASSISTANT not in chosen:
        raise DataError(f"{where}: chosen and rejected must be dialogues with a turn {ASSISTANT.strip()!r}")
    prompt, mark, answer = chosen.rpartition(ASSISTANT)
    other = rejected.rpartition(ASSISTANT)[2]
    return Pair(prompt=prompt + mark, chosen=answer, rejected=other)
