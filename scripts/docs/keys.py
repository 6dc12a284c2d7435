"""The pages of the configuration's keys: what stands in ``conf/``, with the comments that stand there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

COMMENT = re.compile(r"(?:^|\s)#\s?(.*)$")
PRESETS = ("algorithm", "recipe", "sweep")
"""Folders whose files change keys of other groups: they are shown whole."""


@dataclass(frozen=True)
class Key:
    """One line of a YAML file: the key with its dots, the value as it is written, and what its comment says."""

    name: str
    value: str
    meaning: str


def title(text: str) -> str:
    """The comment that a file begins with, as one paragraph."""
    lines = []
    for line in text.splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def keys(text: str) -> list[Key]:
    """Every key of a YAML file that has a value, but for Hydra's own."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    lines = text.splitlines()
    return list(_below(root, "", lines)) if isinstance(root, yaml.MappingNode) else []


def _below(node: yaml.MappingNode, above: str, lines: list[str]) -> Iterator[Key]:
    for key, value in node.value:
        name = f"{above}{key.value}"
        if name in ("defaults", "hydra"):
            continue
        if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
            yield from _below(value, f"{name}.", lines)
        else:
            yield Key(name, _written(value, lines), _comment(key, value, lines))


def _written(value: yaml.Node, lines: list[str]) -> str:
    """The value as the file has it; a list over several lines on one."""
    if isinstance(value, yaml.SequenceNode):
        return "[" + ", ".join(str(item.value) for item in value.value) + "]"
    start, end = value.start_mark, value.end_mark
    if start.line == end.line:
        return lines[start.line][start.column : end.column]
    return " ".join(line.strip() for line in lines[start.line : end.line])


def _comment(key: yaml.Node, value: yaml.Node, lines: list[str]) -> str:
    """What stands behind the value, or, where nothing does, in the lines of comment above the key."""
    first = lines[key.start_mark.line]
    same_line = value.start_mark.line == value.end_mark.line == key.start_mark.line
    behind = COMMENT.search(first[value.end_mark.column if same_line else key.end_mark.column :])
    if behind:
        return behind[1].strip()
    above: list[str] = []
    for line in reversed(lines[: key.start_mark.line]):
        if not line.lstrip().startswith("#") or line.startswith("# @package"):
            break
        above.insert(0, line.lstrip().removeprefix("#").strip())
    own_line = not above or key.start_mark.line > len(above)  # else it is the file's title, which stands above already
    return " ".join(above) if own_line else ""


def cell(text: str) -> str:
    """Text that does not end a cell of a table, and is no HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def table(group: str, found: list[Key]) -> list[str]:
    """The keys as rows, each with the group's name in front, as a command line says it."""
    rows = ["| key | value | meaning |", "|---|---|---|"]
    for key in found:
        name = f"{group}.{key.name}" if group else key.name
        rows.append(f"| `{name}` | `{cell(key.value)}` | {cell(key.meaning)} |")
    return rows


def option(group: str, path: Path) -> list[str]:
    """The section of one YAML file."""
    text = path.read_text(encoding="utf-8")
    lines = [f"## `{group}={path.stem}`", ""]
    if title(text):
        lines += [title(text), ""]
    if group.split("/")[0] in PRESETS or "@package _global_" in text or "\ndefaults:" in f"\n{text}":
        return [*lines, "```yaml", text.strip(), "```", ""]
    named = [key for key in keys(text) if key.name != "name"]
    return [*lines, *(table(group.replace("/", "."), named) if named else ["No keys of its own."]), ""]


def group_page(conf: Path, group: str) -> str:
    """The page of a group: each of its options, then those of the groups that are nested in it."""
    lines = [f"# `{group}`", ""]
    if any((conf / group).glob("*.yaml")):
        lines += [f"Choose one with `{group}=NAME`; the files lie in `conf/{group}/`.", ""]
    for folder in [conf / group, *sorted(path for path in (conf / group).rglob("*") if path.is_dir())]:
        name = folder.relative_to(conf).as_posix()
        for path in sorted(folder.glob("*.yaml")):
            lines += option(name, path)
    return "\n".join(lines) + "\n"


def own_keys_page(conf: Path) -> str:
    """The page of the keys that belong to no group, and of those of the supervised commands."""
    lines = ["# Keys of a run", "", "What stands in `conf/config.yaml` itself, in no group.", ""]
    lines += [*table("", keys((conf / "config.yaml").read_text(encoding="utf-8"))), ""]
    for name in ("sft", "reward_model", "value_model"):
        text = (conf / f"{name}.yaml").read_text(encoding="utf-8")
        lines += [f"## `safelab {name.replace('_', '-')}`", "", title(text), "", *table("", keys(text)), ""]
    return "\n".join(lines) + "\n"


def groups(conf: Path) -> list[str]:
    """The groups of the configuration that are nested in no other."""
    return sorted(path.name for path in conf.iterdir() if path.is_dir())


def write(conf: Path, folder: Path) -> None:
    """All pages, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.md").write_text(own_keys_page(conf), encoding="utf-8")
    for group in groups(conf):
        (folder / f"{group}.md").write_text(group_page(conf, group), encoding="utf-8")
