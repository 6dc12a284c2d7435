"""What a person sees of a run: a live bar on a terminal, plain lines elsewhere."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from safelab.errors import printable_lines

LINES_PER_RUN = 10


def notice(text: str) -> None:
    """One line that a person should see."""
    Console(stderr=True).print(printable_lines(text), highlight=False, markup=False, soft_wrap=True)


class Display(Protocol):
    """Shows one more row."""

    def __call__(self, row: Mapping[str, Any]) -> None:
        """``row`` as in ``metrics.jsonl``."""


def summary(row: Mapping[str, Any]) -> str:
    """Reward, KL, entropy and speed of a row on one line; of one in which nothing was written, what it learnt."""
    if "reward/mean" not in row:
        learnt = f"preference loss {row['preference/loss']:.3f}  accuracy {row['preference/accuracy']:.2f}"
        return f"{learnt}  {row['speed/tokens_per_s']:,.0f} tokens/s"
    gold = f"  gold {row['reward/gold_mean']:.3f}" if "reward/gold_mean" in row else ""
    return (
        f"reward {row['reward/mean']:.3f}{gold}  KL {row['kl/ref_token_exact']:.3f} nats/token  "
        f"entropy {row['policy/entropy_token']:.3f}  {row['speed/tokens_per_s']:,.0f} tokens/s"
    )


@contextmanager
def display(title: str, done: int, updates: int) -> Iterator[Display]:
    """A display of the updates ``done`` to ``updates``; on standard error, so that output can be piped."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lines(console, title, updates)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[summary]}", markup=False), console=console) as bar:
        task = bar.add_task(title, total=updates, completed=done, summary="")

        def show(row: Mapping[str, Any]) -> None:
            bar.update(task, completed=row["update"] + 1, summary=summary(row))

        yield show


def lines(console: Console, title: str, updates: int) -> Display:
    """About ten lines in a run."""
    every = max(1, updates // LINES_PER_RUN)

    def show(row: Mapping[str, Any]) -> None:
        done = row["update"] + 1
        if done % every == 0 or done == updates:
            console.print(f"{title}  {done}/{updates}  {summary(row)}", highlight=False, markup=False, soft_wrap=True)

    return show
