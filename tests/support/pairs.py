"""Preference pairs in the format of HH-RLHF over the tiny model's words: the better answer says ``good``."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

from safelab.types import Pair

CONTEXT = ("a", "b", "c", "d", "e", "f")


def pairs(count: int, seed: int = 0) -> list[Pair]:
    """Answers of two to four words, of which one is ``good`` or ``bad``."""
    rng = random.Random(seed)

    def answer(word: str) -> str:
        words = [rng.choice(CONTEXT) for _ in range(rng.randint(1, 3))]
        words.insert(rng.randint(0, len(words)), word)
        return " " + " ".join(words)

    prompts = ["\n\nHuman: " + " ".join(rng.choices(CONTEXT, k=3)) + "\n\nAssistant:" for _ in range(count)]
    return [Pair(prompt=prompt, chosen=answer("good"), rejected=answer("bad")) for prompt in prompts]


def write_pairs(path: Path, count: int) -> Path:
    """The same as a file."""
    with gzip.open(path, "wt") as file:
        for pair in pairs(count):
            record = {"chosen": pair.prompt + pair.chosen, "rejected": pair.prompt + pair.rejected}
            file.write(json.dumps(record) + "\n")
    return path


def offline(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    """``support.runs.small`` as an offline run: twelve pairs of the tiny model's words, the better answer says good."""
    from support.runs import small

    path = tmp_path / "pairs.jsonl"
    records = [{"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in pairs(12)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    own = ["pairs=jsonl", f"pairs.path={path}", "pairs.batch_size=4", "pairs.evaluate_every=1"]
    return small(tmp_path, *own, *(overrides or ["algorithm=dpo"]))
