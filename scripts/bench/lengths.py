"""How long real prompts and answers are: ``hh_lengths.csv``, 712 pairs of token counts of HH-RLHF and no text.

    .venv/bin/python -m scripts.bench.lengths FILE.jsonl.gz TOKENIZER [--records 712]

writes that file anew from a file in HH-RLHF's format, with the tokenizer in the folder ``TOKENIZER``. A prompt is the
whole dialogue before the last answer and the answer is the chosen one; both are cut, to 512 and 128 tokens.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

TABLE = Path(__file__).with_name("hh_lengths.csv")
MAX_PROMPT, MAX_ANSWER = 512, 128


def read() -> list[tuple[int, int]]:
    """(prompt, answer) in tokens, in the order of the records."""
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    return [(int(prompt), int(answer)) for prompt, answer in (line.split(",") for line in lines[1:])]


def typical(values: Sequence[int], count: int) -> list[int]:
    """What ``count`` random draws look like on average: their i-th smallest is about the i/(count+1) quantile.

    A benchmark whose every batch has these lengths does the same work in each round, and as much as random batches.
    """
    ordered = sorted(values)
    return [ordered[len(ordered) * (index + 1) // (count + 1)] for index in range(count)]


def useful_share(rows: Sequence[tuple[int, int]], batch: int) -> float:
    """Share of the positions that hold a token, where prompts are padded to the batch's longest, and so are answers."""
    batches = [rows[start : start + batch] for start in range(0, len(rows) - batch + 1, batch)]
    held = sum(prompt + answer for rows in batches for prompt, answer in rows)
    widths = [max(prompt for prompt, _ in rows) + max(answer for _, answer in rows) for rows in batches]
    return held / (batch * sum(widths))


def main(arguments: Sequence[str] | None = None) -> None:
    """Count, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--records", type=int, default=712)
    flags = parser.parse_args(arguments)
    from transformers import AutoTokenizer

    from safelab.corpus.hh import read_dialogues

    tokenizer = AutoTokenizer.from_pretrained(flags.tokenizer, trust_remote_code=False)
    pairs = [record.pair for record in read_dialogues(flags.file)[: flags.records]]

    def counts(texts: list[str], most: int) -> list[int]:
        return [min(len(ids), most) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]

    prompts = counts([pair.prompt for pair in pairs], MAX_PROMPT)
    answers = counts([pair.chosen for pair in pairs], MAX_ANSWER)
    told = (
        f"# Token counts of the first {len(pairs)} dialogues of {flags.file.name} (Anthropic/hh-rlhf, MIT), no text.",
        f"# python -m scripts.bench.lengths {flags.file.name} {flags.tokenizer.name}",
        f"# Prompts are cut to {MAX_PROMPT} tokens, answers (the chosen ones) to {MAX_ANSWER}.",
        "prompt,answer",
    )
    rows = [f"{prompt},{answer}" for prompt, answer in zip(prompts, answers, strict=True)]
    TABLE.write_text("\n".join([*told, *rows]) + "\n")
    found = read()
    shares = ", ".join(f"{useful_share(found, batch):.0%} in batches of {batch}" for batch in (16, 64))
    print(
        f"{len(found)} rows, mean {sum(prompts) / len(found):.0f} and {sum(answers) / len(found):.0f}; useful: {shares}"
    )


if __name__ == "__main__":
    main()
