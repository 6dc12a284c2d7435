"""What the jobs of a sweep would otherwise all wait for: the embedded policies, made once before the first job."""

from collections.abc import Sequence

from safelab.app.config.jobs import Job
from safelab.app.config.places import cache_directory


def prepare_policies(jobs: Sequence[Job]) -> None:
    """Make the embedded policies of a sweep's jobs, which would otherwise all wait for the first to make them."""
    from safelab.app.console import progress
    from safelab.world.artifacts import ensure_language_model
    from safelab.world.options import WorldOptions

    policies = [job.config["policy"] for job in jobs if job.config["policy"]["name"] == "tiny"]
    with progress() as say:
        for world in {WorldOptions(**policy["world"]) for policy in policies}:
            ensure_language_model(world, cache_directory(), say)
