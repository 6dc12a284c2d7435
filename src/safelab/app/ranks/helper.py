"""A process that trains with the first rank of a run, on rows of its own, and keeps no records of it.

``python -m safelab.app.ranks.helper``: what to do comes as one line of JSON on standard input.
"""

import json
import os
import signal
import sys
import threading


def main() -> int:
    """Train until the first rank has no more orders; what goes wrong here is said on standard error."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the first rank decides what a signal leads to
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_leader, daemon=True).start()
    sys.path[:] = task["path"]

    from safelab.app.config.build import build, context_for
    from safelab.app.config.jobs import Job
    from safelab.app.ranks.group import group
    from safelab.app.ranks.spawn import READY
    from safelab.errors import RankLost, SafelabError
    from safelab.ranks import Ranks
    from safelab.training.lifecycle.assist import assist

    job = Job(config=task["config"], overrides=tuple(task["overrides"]))
    try:
        # What fails before the meeting is told instead of readiness: whoever waits there waits long.
        context_for(job.config, lambda text: None, Ranks(task["rank"], task["size"], task["rank"]))
        print(READY, flush=True)
        os.dup2(2, 1)  # nobody reads on; what parts print goes where errors go
        with group(job, task["meeting"], task["rank"], task["size"], task["rank"]) as ranks:
            try:
                assist(build(job.config, context_for(job.config, lambda text: None, ranks)))
            except RankLost as error:
                print(f"error: {error}", file=sys.stderr, flush=True)
                os._exit(error.exit_code)  # taking leave of others who are not there aborts
    except SafelabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _end_with_leader() -> None:
    """The first rank is gone or done when the pipe from it ends; after a moment so are we, whatever we wait for."""
    sys.stdin.read()
    threading.Event().wait(5.0)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
