"""Fingerprints of what a configuration names and does not hold: weights, prompts, pairs, a user's own code.

A run writes them down when it begins; before it goes on they are taken again, so that one curve never holds two
policies, data sets or formulas without a word. What is read of each:

    a file up to 64 MiB      all of it
    a larger one             its size, its first and last MiB (a safetensors file begins with the table of its tensors),
                             and 256 pieces of 64 KiB at equal distances: training, scaling or rounding changes them;
                             a change of a few bytes between two pieces is not seen
    a folder                 its own files of the kinds in ``KINDS``; of an adapter's those of its base as well
    a name on the hub        the commits that its copy in the hub's cache stands at
    a module                 its source, and that of the user's own modules that it imports, wherever it does

What a module reads by itself (a word list, a model of its own) is not seen.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from safelab.errors import ConfigError, DataError
from safelab.foreign import is_own
from safelab.runlog.keys import HOW_RECORDED, not_allowed
from safelab.runlog.recorded import binds
from safelab.runlog.schema import INPUTS_FILE

KINDS = (".json", ".safetensors", ".model", ".txt", ".jinja", ".tiktoken", ".py", ".jsonl", ".gz", ".parquet", ".csv")
WHOLE = 64 * 2**20
ENDS, PIECE, PIECES = 2**20, 2**16, 256
ADAPTER, DEPTH = "adapter_config.json", 16
"""What makes a folder an adapter's; how many upon one another are followed."""
HUB = "hub:"
"""Before the name of a branch in the hub's cache, among the names of files."""

Inputs = Mapping[str, Mapping[str, str]]
"""Key of the configuration -> name of a file, module or branch -> its fingerprint."""


def taken(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The fingerprints of all that ``config`` names; keys that name nothing on this machine are not there."""
    found = {key: _modules(value) if ":" in value else _files(key, value) for key, value in _names(config)}
    return {key: inputs for key, inputs in found.items() if inputs}


def text_of(inputs: Inputs) -> str:
    """As a run's folder keeps them."""
    return json.dumps(inputs, indent=1, sort_keys=True) + "\n"


def changed_inputs(directory: Path, config: Mapping[str, Any]) -> dict[str, list[str]]:
    """What ``resume.allow`` lets differ from the inputs that the run in ``directory`` began with: key to names.

    Empty where it failed before its first update, as with a bug in a reward that is mended now: it begins anew.

    Raises:
        ConfigError: another input differs.
        DataError: the fingerprints cannot be read.
    """
    changed = since(directory, config) if binds(directory) else {}
    if refused := not_allowed(changed, config["resume"]["allow"]):
        what = "; ".join(f"{key}: {', '.join(changed[key])}" for key in refused)
        raise ConfigError(
            f"{directory} must go on with the inputs that it began with, and these have changed ({what}); put them "
            "back, choose another experiment or arm, remove that directory, or go on all the same with "
            f"'resume.allow=[{','.join(refused)}]'"
        )
    return changed


def since(directory: Path, config: Mapping[str, Any]) -> dict[str, list[str]]:
    """What has changed since the run in ``directory`` began: key to names.

    Empty where no fingerprints are there, as in runs of versions before them.

    Raises:
        DataError: the fingerprints cannot be read.
    """
    path = directory / INPUTS_FILE
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        return differences({str(key): dict(names) for key, names in there.items()}, taken(config))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path} must hold the run's fingerprints, and cannot be read; remove it to go on") from error


def differences(there: Inputs, here: Inputs) -> dict[str, list[str]]:
    """For each key of both the names that differ, and what is there no more, or was not.

    A branch of the hub that only one of them knows is no difference: a cache may be empty, or hold more.
    """
    found = {}
    for key in sorted(there.keys() & here.keys()):
        then, now = there[key], here[key]
        names = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
        found[key] = [name for name in names if not name.startswith(HUB) or (name in then and name in now)]
    for key in sorted(there.keys() - here.keys()):
        found[key] = [f"{name} (gone)" for name in there[key] if not name.startswith(HUB)]
    return {key: names for key, names in found.items() if names}


def _names(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every ``path`` and every ``name`` with a colon, by its dotted key."""

    def below(node: Any, prefix: str) -> Iterator[tuple[str, str]]:
        items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            place = f"{prefix}.{key}" if prefix else str(key)
            if isinstance(value, str):
                if (key == "name" and ":" in value) or (str(key).endswith("path") and value):
                    yield place, value
            else:
                yield from below(value, place)

    for group, options in config.items():
        if group not in HOW_RECORDED:
            yield from below(options, group)


def _files(key: str, value: str, depth: int = DEPTH) -> dict[str, str]:
    path = Path(os.path.expanduser(value))
    if os.path.isfile(path):
        return {path.name: _of_file(path)}
    if os.path.isdir(path):
        files = (file for file in path.iterdir() if file.suffix in KINDS and not file.name.startswith("."))
        own = {file.name: _of_file(file) for file in sorted(files) if file.is_file()}
        base = _base_of(path) if depth else None
        below = {} if base is None else _files(key, base, depth - 1)
        return own | {f"{name} of its base": mark for name, mark in below.items()}
    return _branches(value, "datasets" if key.startswith(("data", "pairs")) else "models")


def _base_of(folder: Path) -> str | None:
    """What the adapter in a folder is an adapter of; None where whole weights lie, or what cannot be read."""
    if not (folder / ADAPTER).is_file() or (folder / "config.json").is_file():
        return None
    try:
        base = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):  # whoever loads it says so
        return None
    return base if isinstance(base, str) and base else None


def _branches(name: str, kind: str) -> dict[str, str]:
    """The commits of the hub's branches in its cache."""
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        return {}
    from huggingface_hub.constants import HF_HUB_CACHE

    refs = Path(HF_HUB_CACHE, "--".join([kind, *name.split("/")]), "refs")
    files = refs.rglob("*") if refs.is_dir() else []
    return {f"{HUB}{file.relative_to(refs)}": file.read_text().strip() for file in files if file.is_file()}


def _of_file(path: Path) -> str:
    stat = path.stat()
    return _digest(os.path.realpath(path), stat.st_size, stat.st_mtime_ns)


@cache
def _digest(path: str, size: int, changed: int) -> str:
    """Of a file of ``size`` bytes that was ``changed`` (ns) last: a sweep's jobs share what is read here."""
    with open(path, "rb") as file:
        if size <= WHOLE:
            return hashlib.file_digest(file, "sha256").hexdigest()
        hashed = hashlib.sha256(str(size).encode())
        hashed.update(file.read(ENDS))
        for number in range(PIECES):
            file.seek(ENDS + number * (size - 2 * ENDS) // PIECES)
            hashed.update(file.read(PIECE))
        file.seek(size - ENDS)
        hashed.update(file.read())
        return f"sampled:{hashed.hexdigest()}"


def _modules(value: str) -> dict[str, str]:
    """Module -> fingerprint of its source, for the one that is named and the user's own ones that it leads to."""
    waiting, found = [value.partition(":")[0]], dict[str, str]()
    first = waiting[0]
    while waiting:
        name = waiting.pop()
        file = _source(name)
        if name in found or file is None or not (name == first or is_own(file)):
            continue
        found[name] = _of_file(Path(file))
        if is_own(file) and file.endswith(".py"):
            package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
            waiting += _imports(Path(file), package)
    return found


def _source(name: str) -> str | None:
    """The file of a module, found without running anything."""
    if name.partition(".")[0] in sys.builtin_module_names or name.partition(".")[0] in sys.stdlib_module_names:
        return None
    spec: ModuleSpec | None = None
    inner = ""
    for part in name.split("."):
        inner = f"{inner}.{part}" if inner else part
        places = None if spec is None else list(spec.submodule_search_locations or [])
        spec = PathFinder.find_spec(inner, places)
        if spec is None:
            own = getattr(sys.modules.get(name), "__file__", None)
            return own if isinstance(own, str) and os.path.isfile(own) else None
    return spec.origin if spec is not None and spec.origin is not None and os.path.isfile(spec.origin) else None


def _imports(file: Path, package: str) -> list[str]:
    """Every module that a source file may import, and the packages around it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    split = [name.split(".") for name in {*names, package} if name]
    return sorted({".".join(words[:depth]) for words in split for depth in range(1, len(words) + 1)})
