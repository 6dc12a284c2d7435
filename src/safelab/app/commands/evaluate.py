"""``safelab evaluate``: a run's checkpoint on held-out prompts, against the policy that it started from.

With ``--answers`` both are set against the data's own answers, too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelab.app.arguments import Parser, of_a_run, place, positive
from safelab.app.config.from_run import config_of, parts_of, weights_of
from safelab.errors import ConfigError
from safelab.runlog.schema import EVALUATION_FILE

if TYPE_CHECKING:
    from safelab.training.probes.evaluation import Evaluation, Judged, Written


def main(arguments: Sequence[str]) -> int:
    """Evaluate, print the table and write ``evaluation.json`` into the run's directory; returns the exit code.

    Raises:
        UserError: a wrong argument, no run, no checkpoint, or a run whose data has no held-out prompts.
    """
    flags = parser().parse_args(list(arguments))
    if flags.split is not None and flags.prompts is not None:
        raise ConfigError("--split must stand without --prompts: both say where the prompts come from")
    trained_with = config_of(flags.run, flags.trust)
    config = held_out(trained_with, flags.prompts, flags.split)
    weights = weights_of(flags.run, flags.checkpoint)

    from safelab.app.console import progress
    from safelab.runlog.fingerprints import since
    from safelab.training.probes.evaluation import evaluate

    for key, names in since(flags.run, trained_with).items():
        print(f"note: {key} has changed since the run began: {', '.join(names)}")
    with progress() as say:
        found = evaluate(parts_of(config, say, flags.answers), weights, flags.count, say, flags.answers)
    summary = summarise(found)
    asked = {"checkpoint": weights.parent.name, "data": config["data"], "answers_column": flags.answers}
    record = {**asked, **summary, "samples": samples(found)}
    (flags.run / EVALUATION_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(str(flags.run), weights.parent.name, summary, found, flags.samples)
    print(flags.run / EVALUATION_FILE)
    return 0


def held_out(config: Mapping[str, Any], prompts: Path | None, split: str | None = None) -> dict[str, Any]:
    """The run's configuration with prompts that its training did not draw.

    Raises:
        ConfigError: its data has none, and neither a file nor another split was given.
    """
    from safelab.maths.seeds import derive_seed

    data = dict(config["data"])
    if data["name"] == "perturbed" and prompts is None:
        inner = held_out({**config, "data": data["of"]}, None, split)["data"]
        return {**config, "data": {**data, "of": inner}}
    if split is not None:
        data |= another_split(data, split)
    elif prompts is not None:
        kind = {"name": "jsonl", "field": "prompt"} if prompts.suffix == ".jsonl" else {"name": "text"}
        data = {**kind, "path": str(prompts), "skip_unfit": False, "seed": config["seed"]}
    elif data["name"] == "reviews":
        data["seed"] = derive_seed(data["seed"], "held_out")
    elif data["name"] == "tasks" or data.get("held_out"):
        data["part"] = "held_out"
    else:
        raise ConfigError(
            f"data={data['name']} of this run kept no prompts back; give some with --prompts FILE (one per "
            "line; in a .jsonl under prompt), "
            "or train with data=hh_rlhf data.held_out=N"
        )
    return {**config, "data": data}


def another_split(data: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The keys of ``data`` that draw all prompts of another split.

    Raises:
        ConfigError: the data has no splits, or it is the one that was trained on.
    """
    path, own = data.get("path"), data.get("split")
    if own in (None, split) or path is None or Path(path).exists():
        where = f"data={data['name']} data.path={path} data.split={own}"
        raise ConfigError(
            f"--split must name another split of the run's data set on the hub, got {split!r} of a run with {where}; "
            "for prompts in a file there is --prompts FILE"
        )
    return {"split": split, "limit": None, "held_out": 0, "part": "train"}


def summarise(found: "Evaluation") -> dict[str, Any]:
    """Means over prompts with 95 % intervals, and how often one side's response has the higher score.

    Against the data's answers the policy that training began with has its rates, too, under ``reference``.
    """
    mine, other, answers = found.policy, found.reference, found.answers
    sides = {"policy": numbers(mine), "reference": numbers(other)}
    if answers is not None:
        sides = {
            "policy": {**sides["policy"], **wins_over(answers, mine, "answers_")},
            "reference": {**sides["reference"], **wins_over(answers, other, "answers_")},
            "answers": scores(answers),
        }
    return {"prompts": len(mine.prompts), **sides, **wins_over(other, mine)}


def wins_over(other: "Judged", mine: "Judged", prefix: str = "") -> dict[str, Any]:
    """How often ``mine`` has the higher reward, and the higher held-out score; a tie is half a win.

    ``win_rate`` and ``gold_win_rate`` are shares of the prompts, with Wilson's interval; ``prefix`` leads each name.
    """
    from safelab.results.compare.statistics import wilson

    judges = {"": (mine.reward_seq, other.reward_seq)}
    if mine.gold_seq is not None and other.gold_seq is not None:
        judges["gold_"] = (mine.gold_seq, other.gold_seq)
    said: dict[str, Any] = {}
    for judge, (ours, theirs) in judges.items():
        pairs = list(zip(ours, theirs, strict=True))
        wins, ties = sum(a > b for a, b in pairs), sum(a == b for a, b in pairs)
        rate = asdict(wilson(wins + ties / 2, len(pairs)))
        said |= {f"{prefix}{judge}wins": wins, f"{prefix}{judge}ties": ties, f"{prefix}{judge}win_rate": rate}
    return said


def numbers(side: "Written") -> dict[str, Any]:
    """One side's numbers."""
    from safelab.results.compare.statistics import estimate
    from safelab.training.probes.evaluation import distinct_n

    return {
        **scores(side),
        "kl_ref_token_exact": side.kl_token,
        "length": asdict(estimate([float(length) for length in side.length_seq], least=0.0)),
        "eos_rate": sum(side.ended_seq) / len(side.ended_seq),
        "distinct_1": distinct_n(side.responses, 1),
        "distinct_2": distinct_n(side.responses, 2),
    }


def scores(side: "Judged") -> dict[str, Any]:
    """Mean reward and, where there is one, mean held-out score."""
    from safelab.results.compare.statistics import estimate

    gold = {} if side.gold_seq is None else {"gold": asdict(estimate(side.gold_seq))}
    return {"reward": asdict(estimate(side.reward_seq)), **gold}


def samples(found: "Evaluation") -> list[dict[str, Any]]:
    """Every prompt with all responses and their scores."""
    sides = {"policy": found.policy, "reference": found.reference, "answers": found.answers}
    rows: list[dict[str, Any]] = [{"prompt": prompt} for prompt in found.policy.prompts]
    for name, side in sides.items():
        if side is None:
            continue
        for number, row in enumerate(rows):
            row |= {name: side.responses[number], f"{name}_reward": side.reward_seq[number]}
            if side.gold_seq is not None:
                row[f"{name}_gold"] = side.gold_seq[number]
    return rows


def show(name: str, checkpoint: str, summary: Mapping[str, Any], found: "Evaluation", count: int) -> None:
    """The numbers side by side, then some responses; text of models is never read as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from safelab.app.console import one_line
    from safelab.results import text

    def level(value: Any) -> str:
        if not isinstance(value, Mapping):
            return text.number(value, 3)
        return f"{text.number(value['mean'], 3)} {text.interval(value['low'], value['high'], 3)}".strip()

    console = Console()
    console.print(Text(f"{name}, {checkpoint}, {summary['prompts']} held-out prompts"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    sides = [side for side in SIDES if side in summary]
    for column in ("", *sides):
        table.add_column(column, justify="left" if not column else "right")
    for key in summary["policy"]:
        if not key.endswith(("wins", "ties")):
            row = (level(summary[side].get(key)) for side in sides)
            table.add_row(SAID.get(key, key.replace("_", "-")), *row)
    console.print(table)
    for judge, said in (("", "reward"), ("gold_", "gold score")):
        if rate := summary.get(f"{judge}win_rate"):
            counts = f"{summary[f'{judge}wins']} wins, {summary[f'{judge}ties']} ties of {summary['prompts']}"
            console.print(f"win rate over the reference by {said} {level(rate)} ({counts})", highlight=False)
    for sample in samples(found)[:count]:
        console.print()
        console.print(Text(one_line(sample["prompt"].strip()), style="bold"))
        for side in sides:
            reward = text.number(sample[f"{side}_reward"], 3)
            console.print(Text(f"{side} {reward}: {one_line(sample[side].strip())}"))


SIDES = ("policy", "reference", "answers")
SAID = {
    "kl_ref_token_exact": "KL, nats/token",
    "eos_rate": "responses that end",
    "length": "length, tokens",
    "answers_win_rate": "win rate over answers",
    "answers_gold_win_rate": "win rate over answers, gold",
}
"""Rows of the table whose key does not say enough."""


def parser() -> Parser:
    """The arguments."""
    made = of_a_run(
        prog="safelab evaluate",
        description="A run's checkpoint on prompts that its training did not draw, against the policy that it "
        "started from: reward, gold score, KL, length, distinct-n, win rates by reward and by gold score.",
    )
    made.add_argument("--checkpoint", metavar="NAME", help="which one, as update_000050 or best (the newest whole one)")
    made.add_argument("--prompts", type=place, metavar="FILE", help="prompts, one per line (the run's held-out ones)")
    made.add_argument("--split", metavar="NAME", help="in place of them: another split of the run's data set (test)")
    made.add_argument(
        "--answers",
        metavar="COLUMN",
        help="of the data, with an answer of its own to each prompt (a reference summary): win rates over it, too",
    )
    made.add_argument("--count", type=positive, default=256, metavar="N", help="prompts, each taken once (256)")
    made.add_argument("--samples", type=int, default=3, metavar="N", help="responses to print (3)")
    return made
