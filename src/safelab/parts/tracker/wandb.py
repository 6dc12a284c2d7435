"""A mirror of the run in Weights & Biases: offline unless asked, and online only where it can start without waiting."""

import netrc
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from safelab.contracts import Context, Mirror, Tracker
from safelab.errors import ConfigError
from safelab.parts.tracker._shown import columns, numbers, run_id, title, told

if TYPE_CHECKING:
    from wandb import Run

SERVER = "https://api.wandb.ai"
NOT_IN_PROJECTS = "/\\#?%:"


class Wandb(Tracker):
    """``mode``: offline writes files for ``wandb sync``, online needs a key and a server. ``connect_timeout`` in s."""

    mode: Literal["offline", "online"]
    project: Annotated[str, Field(min_length=1, max_length=128)]
    entity: str | None
    connect_timeout: Annotated[float, Field(gt=0)]

    @field_validator("project")
    @classmethod
    def _a_name(cls, project: str) -> str:
        """What wandb itself would refuse, once the run is there."""
        if set(project) & set(NOT_IN_PROJECTS):
            team, _, name = project.partition("/")
            remedy = f"; use tracker.entity={team} tracker.project={name}" if project.count("/") == 1 else ""
            raise ValueError(f"must hold none of the characters {NOT_IN_PROJECTS}, got {project!r}{remedy}")
        return project

    def build(self, context: Context) -> Tracker:
        """Itself; what would make an online start ask or wait is found out here.

        Raises:
            ConfigError: online without a key, or without a server that answers.
        """
        if self.mode == "online":
            server = os.environ.get("WANDB_BASE_URL", SERVER)
            _need_key(server)
            _need_answer(server, self.connect_timeout)
        return self

    def start(self, directory: Path, config: Mapping[str, Any], run: Mapping[str, Any]) -> Mirror:
        """Open the mirror in ``directory``; a run that is resumed goes on under its old id."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # wandb's own telemetry would reach for the network
        import wandb

        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            init_timeout=self.connect_timeout,
        )
        opened = wandb.init(
            dir=directory,
            mode=self.mode,
            project=self.project,
            entity=self.entity,
            id=run_id(run),
            resume="allow" if self.mode == "online" else None,
            reinit="create_new",
            name=title(run),
            group=run["experiment"],
            job_type=run["arm"][:64],  # wandb's limit
            config=told(config, run),
            tags=self.tags,
            notes=self.notes,
            settings=settings,
        )
        return WandbRun(opened, wandb.Table, opened.step)


@dataclass(frozen=True, slots=True)
class WandbRun(Mirror):
    """The run as ``wandb`` holds it open. ``first``: the step from which on its server has none.

    Files of an offline run hold the whole curve each, so that the last one that is synchronised is the run.
    """

    opened: "Run"
    table: Any
    first: int = 0

    def log(self, row: Mapping[str, Any]) -> None:
        """One row, at the step that is its update; one that the server has already is not sent again."""
        if row["update"] >= self.first:
            words = {key: value for key, value in row.items() if isinstance(value, str)}
            self.opened.log(words | numbers(row), step=row["update"])

    def samples(self, update: int, records: Sequence[Mapping[str, Any]]) -> None:
        """One table of all samples, at the same step."""
        if update >= self.first:
            keys = columns(records)
            data = [[record.get(key) for key in keys] for record in records]
            self.opened.log({"samples": self.table(columns=keys, data=data, allow_mixed_types=True)}, step=update)

    def finish(self, status: str) -> None:
        """Close the mirror; wandb marks a run with another exit code than 0 as failed."""
        self.opened.finish(exit_code=0 if status == "finished" else 1)


def _need_key(server: str) -> None:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return
    host = urlsplit(server).netloc
    for path in (os.environ.get("NETRC"), "~/.netrc", "~/_netrc"):
        if path is not None and _has_entry(Path(path).expanduser(), host):
            return
    raise ConfigError(
        f"tracker.mode must be offline unless there is a key, got 'online' and no key for {host}: "
        "run `wandb login`, set WANDB_API_KEY, or use tracker.mode=offline and `wandb sync` later"
    )


def _has_entry(path: Path, host: str) -> bool:
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except FileNotFoundError:
        return False
    except (netrc.NetrcParseError, OSError) as error:
        raise ConfigError(f"tracker.mode: {path} must be readable to find the key, and is not: {error}") from error


def _need_answer(server: str, timeout: float) -> None:
    parts = urlsplit(server)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or "", port), timeout).close()
    except OSError as error:
        raise ConfigError(
            f"tracker.mode must be offline where the server cannot be reached, got 'online': {server} did not answer "
            f"within {timeout:g} s ({error}); use tracker.mode=offline and `wandb sync` later"
        ) from error
