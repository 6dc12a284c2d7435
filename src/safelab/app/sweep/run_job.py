"""One job from its checked configuration to its last update, in this process."""

import shlex
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from safelab.app.config.jobs import Job

if TYPE_CHECKING:
    from safelab.training.components import Components
    from safelab.training.lifecycle.run import Outcome


def run_job(job: Job, ready: Callable[[], None] = lambda: None, command: str | None = None) -> "Outcome":
    """Build the job's parts and train them, in this process; what is finished stays as it is.

    Args:
        job: checked already.
        ready: called when every part is built, before the run's directory is made.
        command: what was typed, for the run's record; None: this process's command line.
    """
    from safelab.app.config.build import build, context_for, settings_of
    from safelab.app.console import progress
    from safelab.app.ranks.group import of_job
    from safelab.training.lifecycle.assist import assist
    from safelab.training.lifecycle.interrupt import left_to_the_first_rank
    from safelab.training.lifecycle.progress import notice
    from safelab.training.lifecycle.run import Outcome, is_finished, train

    if is_finished(settings_of(job.config)):
        return Outcome(status="skipped", directory=job.directory, reason=None, final_reward=None)
    with of_job(job) as ranks:
        with progress() as say:
            parts = build(job.config, context_for(job.config, say, ranks))
        if not ranks.leads:
            with left_to_the_first_rank():
                assist(parts)
            return Outcome(status="helped", directory=job.directory, reason=None, final_reward=None)
        if said := too_long(parts, job.config):
            notice(f"note: {said}")
        ready()
        return train(parts, job.config, job.overrides, command or shlex.join(["safelab", *sys.argv[1:]]))


def too_long(parts: "Components", config: Mapping[str, Any]) -> str | None:
    """What to tell where prompts and responses outgrow what the policy was made for; None if nothing."""
    from safelab.contracts import drawn_prompts
    from safelab.training.fit import length_note
    from safelab.training.rollouts import prompts_per_rollout

    trained_at = getattr(parts.policy, "trained_at", None)  # a policy of the user's own may not say
    if length_note(config, trained_at) is None:
        return None
    # They may: so the prompts themselves are asked, which takes a while.
    drawn = drawn_prompts(parts.data, 0, prompts_per_rollout(parts) * parts.settings.updates)
    return length_note(config, trained_at, max(map(parts.policy.count_tokens, set(drawn))))
