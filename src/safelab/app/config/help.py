"""``--help``: the groups, their options and every key, with what the files of ``conf/`` say of each."""

import ast
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from safelab.app.config import described
from safelab.errors import ConfigError, nearest

COLUMN = 32
"""Where the right column begins."""

USAGE = """usage: safelab train [-m] [key=value | group=option ...] [dry_run=true]

One run, or many with -m: safelab train -m algorithm=safe,ppo seed=0,1
  -m                      several values for a key, each a job of its own
  --cfg job               print the configuration and end
  --config-dir DIR        a folder with groups of your own
  --config-name NAME      another primary configuration, of that folder
  dry_run=true            check all, and say what each run would be and need
  --help GROUP|KEY        options and keys of a group, as the overrides make it:
                          safelab train algorithm=safe --help controller
  --hydra-help            flags of Hydra's own"""


def overview() -> Iterator[str]:
    """What ``safelab train --help`` prints: how to call it, the groups and the keys that belong to none."""
    from safelab.app.config.compose import config_directory

    conf = config_directory()
    text = (conf / "config.yaml").read_text(encoding="utf-8")
    yield from USAGE.splitlines()
    yield from ("", "Groups, each at the option that it has unless told; --help GROUP says more:")
    for group, option, said in described.defaults(text):
        if "/" not in group:
            yield from row(f"{group}={option}", said)
    for added in ("recipe", "sweep"):
        names = ", ".join(described.options([conf], added))
        yield from row(f"+{added}=...", names)
    yield from ("", "Keys of a run:")
    yield from primary(conf / "config.yaml")


def primary(file: Path) -> Iterator[str]:
    """The keys of a primary configuration, each with its value and what is said of it."""
    said = described.comments(file.read_text(encoding="utf-8"))
    values = plain(OmegaConf.load(file))
    yield from keys({key: value for key, value in values.items() if key not in ("defaults", "hydra")}, "", said)


def stage(conf: Path, name: str) -> Iterator[str]:
    """The keys of a stage before the training, then the ones that ``adapter=lora`` adds."""
    yield from primary(conf / f"{name}.yaml")
    yield from row("adapter=none", "none: every weight learns; lora: a LoRA adapter does, which adds the following")
    lora = conf / "policy" / "adapter" / "lora.yaml"
    values = {key: value for key, value in plain(OmegaConf.load(lora)).items() if key != "name"}
    yield from keys({"adapter": values}, "", {
        f"adapter.{key}": said for key, said in described.comments(lora.read_text(encoding="utf-8")).items()
    })  # fmt: skip


def about(hydra: Hydra, words: Sequence[str], name: str) -> Iterator[str]:
    """What ``--help GROUP`` prints: its options, and the keys of the one that the overrides choose.

    Args:
        hydra: over the groups.
        words: groups or keys to explain, and overrides among them.
        name: of the primary configuration.

    Raises:
        ConfigError: a word is neither a group nor a key.
    """
    overrides = [word for word in words if "=" in word or word.startswith("~")]
    composed = hydra.compose_config(config_name=name, overrides=overrides, run_mode=RunMode.RUN)
    folders = [Path(source.path) for source in hydra.config_loader.get_sources() if source.scheme() == "file"]
    for word in [word for word in words if word not in overrides]:
        group, _, key = word.replace("/", ".").partition(".")
        if described.options(folders, word.replace(".", "/")):
            yield from of_group(composed, folders, word.replace(".", "/"))
        elif group in composed and group != "hydra":
            yield from of_key(composed, folders, group, key)
        else:
            known = [str(known) for known in composed if known != "hydra"]
            raise ConfigError(f"--help {word}: there is no such group or key; {nearest(word, known)}")


def of_group(composed: DictConfig, folders: Sequence[Path], group: str) -> Iterator[str]:
    """Options of ``group``, then the keys of the chosen one and of the groups nested in it."""
    chosen = composed.hydra.runtime.choices.get(group)
    for option, path in described.options(folders, group).items():
        yield from row(f"{'*' if option == chosen else ' '} {group}={option}", story(path, group))
    if chosen is not None:
        lines = [*of_node(composed, folders, group)]
        yield from ("", f"Keys of {group}={chosen}:" if lines else f"{group}={chosen} has no keys.")
        yield from lines


def of_key(composed: DictConfig, folders: Sequence[Path], top: str, key: str) -> Iterator[str]:
    """One key, or those below it."""
    full = f"{top}.{key}" if key else top
    chosen = composed.hydra.runtime.choices.get(top)
    if chosen is None:
        files = [folder / "config.yaml" for folder in folders]
        said = described.comments("\n".join(file.read_text(encoding="utf-8") for file in files if file.is_file()))
    else:
        said = {}
        for group, option in composed.hydra.runtime.choices.items():
            if group == top or group.startswith(f"{top}/"):
                said |= _said(folders, group, option)
    value = OmegaConf.select(composed, full, throw_on_missing=False)
    yield from keys({full: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value}, "", said)


def of_node(composed: DictConfig, folders: Sequence[Path], group: str) -> Iterator[str]:
    """The keys of a chosen option under their whole names, then its nested groups with theirs."""
    choices = composed.hydra.runtime.choices
    node = OmegaConf.select(composed, group.replace("/", "."))
    values = plain(node)
    own = {key: value for key, value in values.items() if f"{group}/{key}" not in choices and key != "name"}
    yield from keys(own, f"{group.replace('/', '.')}.", _said(folders, group, choices.get(group)))
    for key in values:
        if (nested := f"{group}/{key}") in choices:
            path = described.options(folders, nested).get(str(choices[nested]))
            yield from row(f"{nested}={choices[nested]}", story(path, nested) if path is not None else "")
            yield from of_node(composed, folders, nested)


def _said(folders: Sequence[Path], group: str, option: Any) -> dict[str, str]:
    """The comments of a group's keys, by their whole names."""
    prefix = group.replace("/", ".")
    return {f"{prefix}.{key}": said for key, said in described.comments_of(folders, group, str(option)).items()}


def keys(values: dict[str, Any], prefix: str, said: dict[str, str]) -> Iterator[str]:
    """A line or more for each value, those of mappings one by one; what is said of a mapping holds for each."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from keys(value, f"{name}.", {f"{name}.{inner}": said.get(name, "") for inner in value} | said)
        else:
            yield from row(f"{name}={written(value)}", said.get(name, ""))


def plain(node: Any) -> dict[str, Any]:
    """The keys of a mapping with their values, interpolations as they are written; none of what is no mapping."""
    values = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else {}
    return {str(key): value for key, value in values.items()} if isinstance(values, dict) else {}


def written(value: Any) -> str:
    """A value as the command line has it."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"[{','.join(map(written, value))}]" if isinstance(value, list) else str(value)


def story(path: Path, group: str) -> str:
    """What an option is: its file's own words, else those of the module that serves it."""
    text = path.read_text(encoding="utf-8")
    if own := described.story(text):
        return own
    name = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("name:")), "")
    module = Path(__file__).parents[2] / "parts" / group / f"{name}.py"
    if not module.is_file():
        return ""
    words = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return words.partition("\n")[0].replace("``", "`")


def row(left: str, right: str) -> list[str]:
    """Two columns as wide as the terminal; what is too long on the left has a line of its own."""
    width = max(60, min(120, shutil.get_terminal_size().columns))
    wrap = partial(textwrap.wrap, width=width - COLUMN, break_on_hyphens=False)
    lines = wrap(right) or [""]
    head = f"  {left}"
    if len(head) >= COLUMN:
        return [head, *(" " * COLUMN + line for line in lines if line)]
    return [f"{head.ljust(COLUMN)}{lines[0]}".rstrip(), *(" " * COLUMN + line for line in lines[1:])]
