"""The configuration that lies in a run's directory, which may have been damaged, or be a stranger's."""

import stat
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.events import AliasEvent

from safelab.errors import DataError
from safelab.runlog.schema import CONFIG_FILE, config_today

LARGEST = 4_000_000
"""Bytes; a run's configuration has some four thousand."""

DEEPEST = 50
"""Levels of nesting; a run's configuration has some five."""


def read_config(directory: Path) -> dict[str, Any]:
    """The resolved configuration in a run's directory, under today's keys.

    Raises:
        DataError: it is missing, may not be read, or is not what a run writes.
    """
    path = directory / CONFIG_FILE
    try:
        if not stat.S_ISREG((state := path.stat()).st_mode):
            raise _damaged(path, "it is no regular file")  # a pipe would be waited for without end
        if state.st_size > LARGEST:
            raise _damaged(path, f"it has {state.st_size} bytes")
        config = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise _damaged(path, " ".join(str(error).split())[:150]) from error
    except RecursionError:
        raise _damaged(path, f"it is nested deeper than {DEEPEST} levels") from None
    if not isinstance(config, dict):
        raise _damaged(path, f"it holds {'nothing' if config is None else f'a {type(config).__name__}'}")
    if odd := next(_odd_keys(config, 0), None):
        raise _damaged(path, odd)
    return config_today(config)


class _Loader(yaml.SafeLoader):
    """Without aliases, which a run never writes: a few lines of them can stand for themselves or for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, f"it has an alias (*{event.anchor})", event.start_mark)
        return super().compose_node(parent, index)


def _odd_keys(node: Any, depth: int) -> Any:
    """What no configuration has: keys that are not text, or endless nesting."""
    if depth > DEEPEST:
        yield f"it is nested deeper than {DEEPEST} levels"
    elif isinstance(node, dict):
        yield from (f"its key {key!r} is not text" for key in node if not isinstance(key, str))
        for value in node.values():
            yield from _odd_keys(value, depth + 1)
    elif isinstance(node, list):
        for value in node:
            yield from _odd_keys(value, depth + 1)


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} must be the configuration that the run wrote, and is not ({reason}); put it back from a copy, "
        "or remove the run's directory and train again"
    )
