"""``safelab evaluate``: a run's checkpoint on held-out prompts, against the policy that it started from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelab.app.arguments import Parser, of_a_run, place, positive
from safelab.app.config.from_run import config_of, parts_of, weights_of
from safelab.errors import ConfigError

if TYPE_CHECKING:
    from safelab.training.probes.evaluation import Evaluation, Written

FILE = "evaluation.json"


def main(arguments: Sequence[str]) -> int:
    """Evaluate, print the table and write ``evaluation.json`` into the run's directory; returns the exit code.

    Raises:
        UserError: a wrong argument, no run, no checkpoint, or a run whose data has no held-out prompts.
    """
    flags = parser().parse_args(list(arguments))
    trained_with = config_of(flags.run, flags.trust)
    config = held_out(trained_with, flags.prompts)
    weights = weights_of(flags.run, flags.checkpoint)

    from safelab.app.console import progress
    from safelab.runlog.fingerprints import since
    from safelab.training.probes.evaluation import evaluate

    for key, names in since(flags.run, trained_with).items():
        print(f"note: {key} has changed since the run began: {', '.join(names)}")
    with progress() as say:
        found = evaluate(parts_of(config, say), weights, flags.count, say)
    summary = summarise(found)
    record = {"checkpoint": weights.parent.name, "data": config["data"], **summary, "samples": samples(found)}
    (flags.run / FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(str(flags.run), weights.parent.name, summary, found, flags.samples)
    print(flags.run / FILE)
    return 0


def held_out(config: Mapping[str, Any], prompts: Path | None) -> dict[str, Any]:
    """The run's configuration with prompts that its training did not draw.

    Raises:
        ConfigError: its data has none, and no file was given.
    """
    from safelab.maths.seeds import derive_seed

    data = dict(config["data"])
    if prompts is not None:
        kind = {"name": "jsonl", "field": "prompt"} if prompts.suffix == ".jsonl" else {"name": "text"}
        data = {**kind, "path": str(prompts), "skip_unfit": False, "seed": config["seed"]}
    elif data["name"] == "reviews":
        data["seed"] = derive_seed(data["seed"], "held_out")
    elif data.get("held_out"):
        data["part"] = "held_out"
    else:
        raise ConfigError(
            f"data={data['name']} of this run kept no prompts back; give some with --prompts FILE (one per "
            "line; in a .jsonl under prompt), "
            "or train with data=hh_rlhf data.held_out=N"
        )
    return {**config, "data": data}


def summarise(found: "Evaluation") -> dict[str, Any]:
    """Means over prompts with 95 % intervals, and how often the policy's response has the higher reward."""
    from safelab.results.compare.statistics import wilson

    pairs = list(zip(found.policy.reward_seq, found.reference.reward_seq, strict=True))
    wins, ties = sum(mine > other for mine, other in pairs), sum(mine == other for mine, other in pairs)
    return {
        "prompts": len(pairs),
        "policy": numbers(found.policy),
        "reference": numbers(found.reference),
        "wins": wins,
        "ties": ties,
        "win_rate": asdict(wilson(wins + ties / 2, len(pairs))),
    }


def numbers(side: "Written") -> dict[str, Any]:
    """One side's numbers."""
    from safelab.results.compare.statistics import estimate
    from safelab.training.probes.evaluation import distinct_n

    return {
        "reward": asdict(estimate(side.reward_seq)),
        **({} if side.gold_seq is None else {"gold": asdict(estimate(side.gold_seq))}),
        "kl_ref_token_exact": side.kl_token,
        "length": asdict(estimate([float(length) for length in side.length_seq], least=0.0)),
        "eos_rate": sum(side.ended_seq) / len(side.ended_seq),
        "distinct_1": distinct_n(side.responses, 1),
        "distinct_2": distinct_n(side.responses, 2),
    }


def samples(found: "Evaluation") -> list[dict[str, Any]]:
    """Every prompt with both responses and rewards."""
    mine, other = found.policy, found.reference
    rows = zip(mine.prompts, mine.responses, mine.reward_seq, other.responses, other.reward_seq, strict=True)
    names = ("prompt", "policy", "policy_reward", "reference", "reference_reward")
    return [dict(zip(names, row, strict=True)) for row in rows]


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
    for column in ("", "policy", "reference"):
        table.add_column(column, justify="left" if not column else "right")
    units = {"kl_ref_token_exact": "KL, nats/token", "eos_rate": "responses that end", "length": "length, tokens"}
    for key in summary["policy"]:
        row = (level(summary[side][key]) for side in ("policy", "reference"))
        table.add_row(units.get(key, key.replace("_", "-")), *row)
    console.print(table)
    rate = summary["win_rate"]
    console.print(
        f"win rate by reward {level(rate)} ({summary['wins']} wins, {summary['ties']} ties of {summary['prompts']})",
        highlight=False,
    )
    for sample in samples(found)[:count]:
        console.print()
        console.print(Text(one_line(sample["prompt"].strip()), style="bold"))
        for side in ("policy", "reference"):
            reward = text.number(sample[f"{side}_reward"], 3)
            console.print(Text(f"{side} {reward}: {one_line(sample[side].strip())}"))


def parser() -> Parser:
    """The arguments."""
    made = of_a_run(
        prog="safelab evaluate",
        description="A run's checkpoint on prompts that its training did not draw, against the policy that it "
        "started from: reward, KL, length, distinct-n, win rate by reward.",
    )
    made.add_argument("--checkpoint", metavar="NAME", help="which one, as update_000050 or best (the newest whole one)")
    made.add_argument("--prompts", type=place, metavar="FILE", help="prompts, one per line (the run's held-out ones)")
    made.add_argument("--count", type=positive, default=256, metavar="N", help="prompts, each taken once (256)")
    made.add_argument("--samples", type=int, default=3, metavar="N", help="responses to print (3)")
    return made
