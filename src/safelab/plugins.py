"""From ``{name: ..., ...}`` in a group of the configuration to the object that the run uses.

An option ``gae`` of the group ``advantage`` is the module ``safelab.parts.advantage.gae``; a nested group
``shaping/normaliser`` is the package ``safelab.parts.shaping.normaliser``. There is no table of options to edit.
"""

import pkgutil
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from safelab.contracts import CONTRACT_OF, Context, Need, Part
from safelab.errors import ConfigError, nearest
from safelab.foreign import calling, shown, told, undisturbed
from safelab.options import describe, located

ROOT = "safelab.parts"


def find(group: str, name: str) -> type[Part]:
    """The part of the module ``safelab.parts.<group>.<name>``, or the one that ``package.module:Class`` names.

    A function named in full is served by the group's own option ``function``, if there is one.

    Raises:
        ConfigError: no such option, module or class; with the known names and the nearest.
    """
    key = f"{dotted(group)}.name"
    if ":" in name:
        target: type[Part] = resolve(name, key)
        return target if is_part(target) else _wrapper(group, name, target)
    known = option_names(group)
    if name not in known and "." in name and all(map(str.isidentifier, name.split("."))):
        module, _, attribute = name.rpartition(".")
        what, how = ("function or class", f"{group}=function {key}=") if "function" in known else ("class", "")
        raise ConfigError(
            f"{key} must name an option of {group} or, with a colon, a {what} of your own, got {name!r}: "
            f"write '{how}{module}:{attribute}'"
        )
    if name not in known:
        raise ConfigError(f"{key} must name an option of {group}, got {name!r}: {nearest(name, known)}")
    return part_of(import_module(f"{_package(group)}.{name}"))


def part_of(module: Any) -> type[Part]:
    """The one part that a module of ``safelab.parts`` defines; classes that begin with ``_`` are its own business."""
    part: type[Part]
    (part,) = [
        value
        for name, value in vars(module).items()
        if is_part(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and name.isidentifier()  # pydantic leaves Objective[MyState] here as well
    ]
    return part


def build_option(group: str, config: Mapping[str, Any], context: Context) -> Any:
    """What the run uses of the part that ``config`` asks for, its options validated first.

    Raises:
        ConfigError: every fault of the option and of its nested groups, one a line.
    """
    if found := faults(group, config):
        raise ConfigError("\n".join(found))
    part, name = find(group, config["name"]), config["name"]
    if ":" not in name:
        return part(**config).build(context)
    with calling(f"{dotted(group)}.name={name}", ConfigError):
        return part(**config).build(context)


def faults(group: str, config: Mapping[str, Any]) -> list[str]:
    """All that is wrong with an option's configuration and with those nested in it, one line each; empty if nothing.

    A key is a nested group where ``safelab.parts.<group>.<key>`` is a package.
    """
    name = config.get("name")
    if not isinstance(name, str):
        known = ", ".join(option_names(group))
        return [f"{dotted(group)}.name must be the name of an option, got {name!r}: known: {known}"]
    try:
        part = find(group, name)
    except ConfigError as error:
        return [str(error)]
    if said := misfit(group, name, part):
        return [said]
    others = [key for key in config if key not in part.model_fields]
    if ":" in name and others and part is not resolve(name, f"{dotted(group)}.name"):
        return [
            f"{dotted(group)}.name={name} must come with {group}=function, got the keys of another option "
            f"({', '.join(others)}): add {group}=function"
        ]
    lines = _own_faults(group, config, part)
    for key, value in config.items():
        if isinstance(value, Mapping) and (inner := _inner_group(group, part, key)) is not None:
            lines += [_held_at(group, key, inner, line) for line in faults(inner, value)]
    return lines


def _inner_group(group: str, part: type[Part], key: str) -> str | None:
    """The group of the option that stands under ``key`` of another one; None where none does."""
    held = part.holds.get(key)
    return held or (nested if is_group(nested := f"{group}/{key}") else None)


def _held_at(group: str, key: str, inner: str, line: str) -> str:
    """A fault of an option of ``inner`` with the key where it stands: ``reward.path`` as ``evaluator.of.path``."""
    return line if inner == f"{group}/{key}" else line.replace(f"{dotted(inner)}.", f"{dotted(group)}.{key}.", 1)


def placed(group: str, config: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """``config`` of an option with absolute paths, those of nested groups and of listed options (``members``) too.

    A name that leads to no part keeps its keys as they are: ``faults`` says what is wrong with it.
    """
    try:
        part = find(group, config["name"])
    except ConfigError:
        return dict(config)
    made = located(part, config, base)
    for key, value in config.items():
        if _names_an_option(value) and (inner := _inner_group(group, part, key)) is not None:
            made[key] = placed(inner, value, base)
        elif isinstance(value, list):
            made[key] = [placed(group, one, base) if _names_an_option(one) else one for one in value]
    return made


def _names_an_option(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("name"), str)


def misfit(group: str, name: str, part: type[Part]) -> str | None:
    """Why the class itself cannot serve the group, whatever its options: one line, or None.

    Args:
        group: the group that asks.
        name: what the configuration calls the part, for the message.
        part: its class.
    """
    key, contract = f"{dotted(group)}.name", CONTRACT_OF.get(group, Part)
    if part.build is Part.build and not issubclass(part, contract):
        return (
            f"{key} must name a class of this group, got {name!r}, which does not derive from safelab.contracts."
            f"{contract.__name__}: write class {part.__name__}({_bases(group)}), or a build that returns such an object"
        )
    if missing := ", ".join(sorted(part.__abstractmethods__)):
        return (
            f"{key} must name a class with all methods of this group, got {name!r}, which lacks {missing}: "
            f"write them as safelab.contracts.{contract.__name__} has them"
        )
    needs = getattr(part, "needs", None)  # a field of that name is no attribute of the class
    if not isinstance(needs, AbstractSet | list | tuple):
        return (
            f"{key} must name a class whose needs are a set, got {name!r} with {shown(needs)}: "
            "write needs = frozenset({...}) in the class, without a type"
        )
    if unknown := [need for need in needs if need not in get_args(Need)]:
        return f"{key} must name a class whose needs are known, got {name!r} with {unknown[0]!r}: " + nearest(
            str(unknown[0]), get_args(Need)
        )
    return None


def option_names(group: str) -> list[str]:
    """Names of the group's own options: its modules that do not begin with ``_``."""
    package = import_module(_package(group))
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg and not m.name.startswith("_"))


def resolve(path: str, key: str) -> Any:
    """What ``package.module:attribute`` names.

    Args:
        path: where it is.
        key: the configuration's key that says so, for the message.

    Raises:
        ConfigError: not of that form, no such module, or no such attribute.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise ConfigError(f"{key} must be 'package.module:attribute', got {path!r}")
    try:
        with undisturbed():
            module = import_module(module_name)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        # A module that exists and misses an import of its own is another fault than a wrong name.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"{key}: {module_name} needs the module {error.name!r}, which is not installed"
            ) from error
        raise ConfigError(
            f"{key} must name an importable module, got {path!r}: no module {error.name!r} "
            "(is its folder the current one, or on PYTHONPATH?)"
        ) from error
    except BaseException as error:
        raise ConfigError(f"{key} must name an importable module, got {path!r}, which raised {told(error)}") from error
    if not hasattr(module, attribute):
        public = [known for known, value in vars(module).items() if not known.startswith("_") and _is_of(module, value)]
        raise ConfigError(
            f"{key} must name something in {module_name}, got {attribute!r}: {nearest(attribute, public)}"
        )
    return getattr(module, attribute)


def _is_of(module: Any, value: Any) -> bool:
    """Whether a class or function was written in the module's package, and not imported from elsewhere."""
    package = module.__name__.partition(".")[0]
    return callable(value) and str(getattr(value, "__module__", "")).partition(".")[0] == package


def dotted(group: str) -> str:
    """The group as a key of the configuration: ``shaping/normaliser`` is ``shaping.normaliser``."""
    return group.replace("/", ".")


def _not_chosen(group: str, fault: Mapping[str, Any]) -> str | None:
    """What ``controller.route=reward`` is told: it sets a key where ``controller/route=reward`` chooses an option."""
    inner = f"{group}/{fault['loc'][0]}" if fault["loc"] else ""
    if fault["type"] not in ("dict_type", "mapping_type") or not is_group(inner):
        return None
    value, known = fault["input"], option_names(inner)
    if isinstance(value, str) and ":" in value:
        remedy = f"write {dotted(inner)}.name={value}, with its keys beside it"
    else:
        remedy = f"write {inner}={value}, in a file '- override /{inner}: {value}'"
    others = "" if value in known else f"; {nearest(str(value), known)}"
    return f"{dotted(inner)} must be an option of the group {inner}, got {value!r}: {remedy}{others}"


def _own_faults(group: str, config: Mapping[str, Any], part: type[Part]) -> list[str]:
    try:
        if ":" not in config["name"]:
            part(**config)
        else:
            with calling(f"{dotted(group)}.name={config['name']}", ConfigError, passing=(ValidationError,)):
                part(**config)
    except ConfigError as error:
        return [str(error)]
    except ValidationError as error:
        lines = describe(error, dotted(group), part.model_fields)
        found = zip(error.errors(include_url=False), lines, strict=True)
        return [_not_chosen(group, fault) or line for fault, line in found]
    return []


def is_part(value: Any) -> bool:
    """Whether ``value`` is a class that derives from ``Part``."""
    return isinstance(value, type) and issubclass(value, Part)


def _wrapper(group: str, name: str, target: Any) -> type[Part]:
    """The group's option ``function``, which serves any function but no class."""
    if not isinstance(target, type) and "function" in option_names(group):
        return find(group, "function")
    raise ConfigError(
        f"{dotted(group)}.name must name a class that derives from safelab.contracts.Part, got {name!r}, which does "
        f"not: write class {name.partition(':')[2]}({_bases(group)}), its options as its fields (docs/extending.md)"
    )


def _bases(group: str) -> str:
    """What a part of ``group`` derives from where it is itself what the run uses."""
    contract = CONTRACT_OF.get(group, Part)
    return contract.__name__ if issubclass(contract, Part) else f"Part, {contract.__name__}"


def _package(group: str) -> str:
    return f"{ROOT}.{dotted(group)}"


def is_group(group: str) -> bool:
    """Whether ``group``, nested with slashes, is one that parts serve."""
    spec = find_spec(_package(group))
    return spec is not None and spec.submodule_search_locations is not None
