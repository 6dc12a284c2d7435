"""What a run's directory could make this machine do besides safelab's own options; the user agrees first."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safelab.errors import ConfigError


def check_trust(run: Path, config: Mapping[str, Any], trusted: bool) -> None:
    """Refuse, before anything is imported, a run that names code or a server of somebody else's.

    Args:
        run: its directory.
        config: that it was trained with, read and not yet looked up.
        trusted: whether the user has said ``--trust``.

    Raises:
        ConfigError: with all that the run would import, run, or call.
    """
    if not trusted and (found := list(foreign(config))):
        raise ConfigError(
            f"{run} asks for more than safelab's own options: {'; '.join(found)}; look at {run / 'config.yaml'}, and "
            "if you know who made it, repeat the command with --trust"
        )


def foreign(node: Any, key: str = "") -> Iterator[str]:
    """Everything in a configuration that is code or a server of somebody else's, wherever it stands."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            inner = f"{key}.{name}" if key else str(name)
            if name == "name" and isinstance(value, str) and ":" in value:
                module = value.partition(":")[0]
                yield f"{inner}={value!r} (imports {module}, from the current folder or PYTHONPATH, and runs it)"
            elif name == "trust_remote_code" and value:
                yield f"{inner}={value!r} (runs the Python that lies beside {node.get('path')!r})"
            elif name == "url":
                yield f"{inner}={value!r} (is sent prompts, responses, and $SAFELAB_REWARD_TOKEN where it is set)"
            yield from foreign(value, inner)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from foreign(value, f"{key}.{index}")
