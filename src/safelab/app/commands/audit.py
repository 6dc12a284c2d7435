"""``safelab audit``: which terms of the loss act, and which are only logged."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from safelab.app.arguments import Parser
from safelab.app.config.compose import compose, opened
from safelab.app.config.jobs import to_job
from safelab.errors import ConfigError

if TYPE_CHECKING:
    from safelab.training.probes.audit import Audit


def main(arguments: Sequence[str]) -> int:
    """Build the run that the overrides describe, print the table; 0 if each term that is to act is seen to, else 1.

    Raises:
        UserError: wrong arguments or configuration.
    """
    parser = Parser(
        prog="safelab audit",
        usage="safelab audit [overrides] [--batches N] [--kl NATS]",
        description="One batch, every term of the loss: its value, and what of its gradient reaches policy and critic. "
        "A KL penalty is tested on many rollouts: does its expected gradient lower the KL? An offline run has one "
        "term, the loss on its pairs. A run by votes has no loss: do perturbation and step move the policy? Exit code "
        "1: a term that is meant to act is not seen to.",
    )
    parser.add_argument(
        "--batches",
        type=int,
        default=32,
        help="rollouts for the penalty's test, at most: a clear effect ends it after 8 (default 32)",
    )
    parser.add_argument("--kl", type=float, default=1.0, help="KL per token to move the policy to (default 1.0)")
    parser.add_argument("--config-dir", help="a folder with your own groups")
    parser.add_argument("overrides", nargs="*", help="as for safelab train")
    flags = parser.parse_intermixed_args(list(arguments))
    if flags.batches < 3 or flags.kl <= 0:
        raise ConfigError("safelab audit must have --batches of at least 3 and --kl above 0, "
                          f"got {flags.batches} and {flags.kl}")  # fmt: skip
    with opened(flags.config_dir) as hydra:
        job = to_job(compose(hydra, flags.overrides))

    from safelab.app.config.build import build, context_for
    from safelab.app.console import progress
    from safelab.training.probes.audit import audit
    from safelab.training.probes.pair_audit import audit_pairs
    from safelab.training.probes.zeroth_audit import audit_votes
    from safelab.training.zeroth.fit import is_zeroth

    with progress() as say:
        parts = build(job.config, context_for(job.config, say))
        if parts.preference is not None:
            result = audit_pairs(parts, flags.kl, say)
        elif is_zeroth(job.config):
            result = audit_votes(parts, flags.kl, say)
        else:
            result = audit(parts, flags.kl, flags.batches, say)
    show(job.name, result)
    return 0 if result.passed else 1


def show(name: str, result: "Audit") -> None:
    """The table."""
    from rich.console import Console
    from rich.table import Table

    Console().print(f"{name}, policy moved to {result.kl:.2f} nats per token from the reference", soft_wrap=True)
    table = Table()
    for column in ("term", "value", "|grad| policy", "|grad| critic", "t", "acts"):
        table.add_column(column, justify="left" if column in ("term", "acts") else "right")
    for term in result.terms:
        table.add_row(
            term.term,
            f"{term.value:.4g}",
            f"{term.policy_grad_norm:.3g}",
            f"{term.critic_grad_norm:.3g}",
            "" if term.t is None else f"{term.t:.1f}",
            {True: "yes", False: "[bold red]NO[/]", None: "unknown"}[term.acts],
        )
    Console().print(table)
    for term in result.terms:
        if term.note:
            Console().print(f"{term.term}: {term.note}", soft_wrap=True)
