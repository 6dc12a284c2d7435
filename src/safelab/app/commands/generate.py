"""``safelab generate``: let a run's policy write."""

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from safelab.app.arguments import Parser, of_a_run, positive
from safelab.app.config.from_run import config_of, weights_of, writer_of
from safelab.errors import ConfigError


def main(arguments: Sequence[str]) -> int:
    """Print answers to each prompt; returns the exit code.

    Raises:
        UserError: a wrong argument, no run, or no checkpoint.
    """
    flags = parser().parse_intermixed_args(list(arguments))
    if flags.greedy and (flags.temperature is not None or flags.count != 1):
        raise ConfigError(
            "--greedy must stand without --temperature and --count: the likeliest answer is one, and is not drawn"
        )
    config = asked_for(config_of(flags.run, flags.trust), flags)
    weights = weights_of(flags.run, flags.checkpoint)

    from safelab.app.console import progress

    with progress() as say:
        policy, sampler = writer_of(config, say)
    policy.restore(weights)
    how = "greedy" if flags.greedy else f"temperature {config['rollout']['sampling_temperature']:g}, seed {flags.seed}"
    print(f"{flags.run}, {weights.parent.name}: {how}", file=sys.stderr)
    for number, prompt in enumerate(prompts(flags.prompt)):
        show(prompt, answers(policy, sampler, prompt, number, flags))
    return 0


def asked_for(config: dict[str, Any], flags: argparse.Namespace) -> dict[str, Any]:
    """The run's configuration with what the command line says of the answers."""
    rollout, policy = dict(config["rollout"]), dict(config["policy"])
    if flags.max_new_tokens is not None:
        rollout["max_new_tokens"] = flags.max_new_tokens
    if flags.temperature is not None:
        rollout["sampling_temperature"] = policy["sampling_temperature"] = flags.temperature
    return {**config, "rollout": rollout, "policy": policy}


def answers(policy: Any, sampler: Any, prompt: str, number: int, flags: argparse.Namespace) -> Sequence[str]:
    """What the policy writes to ``prompt``, written as in training; the noise depends on the seed and ``number``."""
    from safelab.maths.seeds import row_seeds

    batch = policy.encode([prompt] * flags.count, range(flags.count))
    if flags.greedy:
        return tuple(sampler.greedy(policy, batch).responses)
    seeds = row_seeds(flags.seed, "generate", number, rows=flags.count)
    return tuple(sampler.sample(policy, batch, seeds).responses)


def show(prompt: str, written: Sequence[str]) -> None:
    """The prompt on one line, then each answer; an answer's further lines are set in, so that labels stand out."""
    from safelab.app.console import one_line
    from safelab.errors import printable_lines

    print(f"prompt: {one_line(prompt)}")
    for number, answer in enumerate(written, start=1):
        label = "answer" if len(written) == 1 else f"answer {number}"
        # Line breaks are kept; other control characters of a model could drive the terminal.
        lines = printable_lines(answer).strip("\n").split("\n")
        print("\n".join([f"{label}: {lines[0].lstrip()}", *(f"    {line}".rstrip() for line in lines[1:])]))
    print(flush=True)


def prompts(given: Sequence[str]) -> Iterator[str]:
    """Those of the command line, else one per line of standard input; on a terminal an empty line ends them."""
    from safelab.corpus.lines import whole_text

    if given:
        yield from (whole_text(prompt, "PROMPT") for prompt in given)
        return
    asking = sys.stdin.isatty()
    if asking:
        print("a prompt, then Enter; an empty line ends", file=sys.stderr)
    if isinstance(sys.stdin, io.TextIOWrapper):  # as files of prompts are read; what is no UTF-8 is refused below
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    for number, line in enumerate(lines(asking), start=1):
        if line.strip():
            yield whole_text(line.removesuffix("\n").removesuffix("\r"), f"standard input, line {number}")
        elif asking:
            return


def lines(asking: bool) -> Iterator[str]:
    """Those of standard input, each asked for where a person types them."""
    while True:
        if asking:
            print("> ", end="", file=sys.stderr, flush=True)
        if not (line := sys.stdin.readline()):
            return
        yield line


def temperature(value: str) -> float:
    """A number above 0, as argparse's ``type``."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {value!r}; --greedy takes the likeliest")
    return number


def parser() -> Parser:
    """The arguments."""
    made = of_a_run(
        prog="safelab generate",
        description="Let a run's policy write. Without a PROMPT it reads them from standard input, one per line; on a "
        "terminal it asks for one after the other.",
    )
    made.add_argument("prompt", nargs="*", metavar="PROMPT", help="prompts (lines of standard input)")
    made.add_argument("--checkpoint", metavar="NAME", help="which one, as update_000050 or best (the newest whole one)")
    made.add_argument("--greedy", action="store_true", help="the likeliest token every time, instead of drawing")
    made.add_argument("--temperature", type=temperature, metavar="T", help="of the sampling (as in training)")
    made.add_argument("--max-new-tokens", type=positive, metavar="N", help="longest answer (as in training)")
    made.add_argument("--count", type=positive, default=1, metavar="N", help="answers to each prompt (1)")
    made.add_argument("--seed", type=int, default=0, help="of the sampling (0)")
    return made
