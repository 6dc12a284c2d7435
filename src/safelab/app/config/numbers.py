"""Numbers that come as text: what ``${oc.env:LR}`` gives is read as YAML reads it, where the option takes no text.

Text stays text for an option that takes text (``007`` as a name), and where it was written in quotes: only what an
interpolation brought from elsewhere is read.
"""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from omegaconf._utils import get_yaml_loader

from safelab.errors import ConfigError

Path = tuple[Any, ...]
"""Keys, and places in lists, from the top to a value."""


def read_numbers(config: dict[str, Any], raw: Any, model: Any = None) -> None:
    """Replace in ``config`` the text that interpolations gave to options which take no text.

    Args:
        config: resolved.
        raw: the same as it was written, interpolations and all.
        model: the pydantic class of the whole; None for a run's configuration.
    """
    for path in [*_texts(config, raw)]:
        node: Any = config
        for part in path[:-1]:
            node = node[part]
        if not _takes_text(_annotation(config, path, model)):
            node[path[-1]] = _as_yaml(node[path[-1]])


def _texts(value: Any, raw: Any, path: Path = ()) -> Iterator[Path]:
    """Where an interpolation gave text, by itself or in what it stands for."""
    if isinstance(value, str):
        if raw is None or "${" in raw:
            yield path
        return
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _texts(item, None if raw is None or isinstance(raw, str) else raw[key], (*path, key))


def _annotation(config: Mapping[str, Any], path: Path, model: Any) -> Any:
    """The type of the option at ``path``; ``str`` where nothing is known of it, so that it is left alone."""
    from safelab.plugins import find, is_group

    kind, node, group = model, config, ""
    for place, part in enumerate(path):
        node = node[part]
        inner = f"{group}/{part}" if group else str(part)
        if model is None and isinstance(node, Mapping) and is_group(inner):
            try:
                kind, group = find(inner, node["name"]), inner
            except (ConfigError, KeyError):
                return str  # which is told where the whole is checked
            continue
        if kind is None and place == 0:
            kind = _top(str(part))
            if str(part) in ("world", "detectors"):
                continue
        field = getattr(kind, "model_fields", {}).get(part)
        kind = field.annotation if field is not None else _item(kind)
    return kind


def _top(key: str) -> Any:
    """What checks a key at the top of a run's configuration that is no group of parts."""
    from safelab.crash.detectors import DetectorOptions
    from safelab.training.settings import Settings
    from safelab.world.options import WorldOptions

    return {"world": WorldOptions, "detectors": DetectorOptions}.get(key, Settings)


def _item(kind: Any) -> Any:
    """What a list or a mapping of type ``kind`` holds."""
    for one in get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,):
        if get_origin(one) in (list, tuple, dict):
            return get_args(one)[-1]
    return str


def _takes_text(kind: Any) -> bool:
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

    if kind is str or kind in (None, NoneType):
        return True
    try:
        TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python("text")
    except ValidationError as error:
        # One of a few words is text, too.
        return any(fault["type"] == "literal_error" for fault in error.errors())
    except PydanticUserError:
        return True  # a group of keys
    return True


def _as_yaml(text: str) -> Any:
    """The number, truth value or null that ``text`` spells; ``text`` itself where it spells none."""
    try:
        value = yaml.load(text, Loader=get_yaml_loader())
    except yaml.YAMLError:
        return text
    return value if value is None or isinstance(value, bool | int | float) else text
