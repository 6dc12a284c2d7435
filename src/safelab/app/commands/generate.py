"""``safelab generate``: let a run's policy write."""

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
    from safelab.errors import printable
    from safelab.maths.streams import stream

    with progress() as say:
        parts = parts_of(config, say)
    parts.policy.restore(weights)
    for number, prompt in enumerate(prompts(flags.prompt)):
        batch = parts.policy.encode([prompt] * flags.count, range(flags.count))
        with stream(flags.seed, "generate", number):
            rollout = parts.rollout.sample(parts.policy, batch)
        for response in rollout.responses:
            # Line breaks are kept; other control characters of a model could drive the terminal.
            print("\n".join(printable(line) for line in response.splitlines()))
    return 0


def prompts(given: Sequence[str]) -> Iterator[str]:
    """Those of the command line, else one per line of standard input."""
    if given:
        yield from given
        return
    if sys.stdin.isatty():
        print("one prompt per line; Ctrl-D ends", file=sys.stderr)
    for line in sys.stdin:
        if line.strip():
            yield line.rstrip("\n")


def parser() -> Parser:
    """The arguments."""
    made = of_a_run(prog="safelab generate", description="Let a run's policy write.")
    made.add_argument("prompt", nargs="*", metavar="PROMPT", help="prompts (lines of standard input)")
    made.add_argument("--checkpoint", metavar="NAME", help="which one, as update_000050 or best (the newest whole one)")
    made.add_argument("--max-new-tokens", type=positive, metavar="N", help="longest response (as in training)")
    made.add_argument("--count", type=positive, default=1, metavar="N", help="responses to each prompt (1)")
    made.add_argument("--seed", type=int, default=0, help="of the sampling (0)")
    return made
