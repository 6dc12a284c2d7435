"""``safelab generate``: let a run's policy write."""

import io
import sys
from collections.abc import Iterator, Sequence

from safelab.app.arguments import Parser, of_a_run, positive
from safelab.app.config.from_run import config_of, parts_of, weights_of


def main(arguments: Sequence[str]) -> int:
    """Print a response to each prompt; returns the exit code.

    Raises:
        UserError: a wrong argument, no run, or no checkpoint.
    """
    flags = parser().parse_intermixed_args(list(arguments))
    config = config_of(flags.run, flags.trust)
    weights = weights_of(flags.run, flags.checkpoint)
    if flags.max_new_tokens is not None:
        config["rollout"]["max_new_tokens"] = flags.max_new_tokens

    from safelab.app.console import progress
    from safelab.errors import printable_lines
    from safelab.maths.seeds import row_seeds

    with progress() as say:
        parts = parts_of(config, say)
    parts.policy.restore(weights)
    for number, prompt in enumerate(prompts(flags.prompt)):
        batch = parts.policy.encode([prompt] * flags.count, range(flags.count))
        seeds = row_seeds(flags.seed, "generate", number, rows=flags.count)
        rollout = parts.rollout.sample(parts.policy, batch, seeds)
        for response in rollout.responses:
            # Line breaks are kept; other control characters of a model could drive the terminal.
            print(printable_lines(response))
    return 0


def prompts(given: Sequence[str]) -> Iterator[str]:
    """Those of the command line, else one per line of standard input."""
    from safelab.corpus.lines import whole_text

    if given:
        yield from (whole_text(prompt, "PROMPT") for prompt in given)
        return
    if sys.stdin.isatty():
        print("one prompt per line; Ctrl-D ends", file=sys.stderr)
    if isinstance(sys.stdin, io.TextIOWrapper):  # as files of prompts are read; what is no UTF-8 is refused below
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    for number, line in enumerate(sys.stdin, start=1):
        if line.strip():
            yield whole_text(line.removesuffix("\n").removesuffix("\r"), f"standard input, line {number}")


def parser() -> Parser:
    """The arguments."""
    made = of_a_run(prog="safelab generate", description="Let a run's policy write.")
    made.add_argument("prompt", nargs="*", metavar="PROMPT", help="prompts (lines of standard input)")
    made.add_argument("--checkpoint", metavar="NAME", help="which one, as update_000050 or best (the newest whole one)")
    made.add_argument("--max-new-tokens", type=positive, metavar="N", help="longest response (as in training)")
    made.add_argument("--count", type=positive, default=1, metavar="N", help="responses to each prompt (1)")
    made.add_argument("--seed", type=int, default=0, help="of the sampling (0)")
    return made
