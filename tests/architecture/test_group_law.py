"""One option, three files: conf/<group>/<option>.yaml, and in parts/<group>/ a module and, in tests/, its test."""

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from safelab.contracts import Part
from safelab.options import located
from safelab.plugins import is_part, misfit, part_of

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "safelab"
CONF, SOURCE, TESTS = ROOT / "conf", PACKAGE / "parts", ROOT / "tests" / "parts"

# Folders of conf that hold presets over groups, or keys that no module serves; they have no package.
PRESETS = {"adapter", "algorithm", "recipe", "sweep", "resume", "world", "detectors", "hydra"}
# What a command begins with: train, sft, reward-model, value-model.
PRIMARY = {"config.yaml", "sft.yaml", "reward_model.yaml", "value_model.yaml"}


def group_of(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix()


def folders(root: Path, skip: set[str]) -> set[str]:
    """Every folder below ``root``, as a group's name; caches and the trees in ``skip`` left out."""
    found = {group_of(path, root) for path in root.rglob("*") if path.is_dir()}
    return {name for name in found if name.split("/")[0] not in skip and "__pycache__" not in name}


GROUPS = sorted(folders(CONF, PRESETS))
YAMLS = sorted(path for path in CONF.rglob("*.yaml") if group_of(path, CONF).split("/")[0] in {*GROUPS} - PRESETS)
MODULES = sorted(path for group in GROUPS for path in (SOURCE / group).glob("*.py") if not path.name.startswith("_"))


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def name_in(path: Path) -> str:
    return yaml.safe_load(path.read_text(encoding="utf-8"))["name"]


def module_of(path: Path) -> ModuleType:
    return import_module(f"safelab.parts.{group_of(path.parent, SOURCE).replace('/', '.')}.{path.stem}")


def public_parts(path: Path) -> list[type[Part]]:
    """The parts that ``class`` statements of the module name without a leading underscore."""
    statements = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    named = [getattr(module_of(path), name) for name in statements if not name.startswith("_")]
    return [found for found in named if is_part(found)]


def test_there_is_something_to_judge() -> None:
    assert len(GROUPS) >= 20
    assert len(YAMLS) >= 40
    assert len(MODULES) >= 35


def test_every_folder_of_conf_is_a_group_with_a_package_or_holds_presets() -> None:
    assert set(GROUPS) == folders(SOURCE, set())


def test_nothing_is_astray() -> None:
    in_conf = {path for path in CONF.rglob("*") if path.is_file()}
    odd = {path for path in in_conf if path.suffix != ".yaml"}
    odd |= {path for path in CONF.iterdir() if path.is_file() and path.name not in PRIMARY}
    known = {
        PACKAGE / f"{name}.py" for name in ("__init__", "errors", "foreign", "options", "plugins", "ranks", "types")
    }
    odd |= {path for path in PACKAGE.glob("*.py") if path not in known}
    odd |= {path for path in SOURCE.glob("*.py") if path.name != "__init__.py"}
    assert not odd


@pytest.mark.parametrize("path", YAMLS, ids=label)
def test_a_yaml_names_a_module_of_its_group(path: Path) -> None:
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    keys = [key for key in config if key != "defaults"]
    assert keys[0] == "name", "the first key of an option is the module that serves it"
    if config["name"] == "???":
        # The user names a function of his own; the option's module wraps it.
        assert (SOURCE / group_of(path.parent, CONF) / path.with_suffix(".py").name).is_file()
    else:
        assert (SOURCE / group_of(path.parent, CONF) / f"{config['name']}.py").is_file()


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_a_module_is_an_option_with_a_yaml_and_a_test(path: Path) -> None:
    group = group_of(path.parent, SOURCE)
    presets = list((CONF / group).glob("*.yaml"))
    assert any(name_in(preset) == path.stem or preset.stem == path.stem for preset in presets), "no YAML names it"
    assert (TESTS / group / f"test_{path.stem}.py").is_file(), "it has no test"


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_the_part_of_a_module_serves_its_group(path: Path) -> None:
    (part,) = public_parts(path)
    assert part_of(module_of(path)) is part
    assert misfit(group_of(path.parent, SOURCE), path.stem, part) is None


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_values_live_in_yaml_only(path: Path) -> None:
    (part,) = public_parts(path)
    assert [name for name, field in part.model_fields.items() if not field.is_required()] == []


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=label)
def test_no_option_is_called_what_yaml_reads_as_a_boolean(path: Path) -> None:
    assert path.stem.lower() not in {"on", "off", "yes", "no", "n", "y", "true", "false", "null"}


@pytest.mark.parametrize("module", MODULES, ids=label)
def test_what_is_called_a_path_has_a_type_that_says_so(module: Path) -> None:
    part = part_of(import_module(".".join(("safelab", *module.relative_to(PACKAGE).with_suffix("").parts))))
    paths = [key for key in part.model_fields if key.endswith("path")]
    # "a/b/c" can only be a path, so each of them must come out absolute.
    assert all(value == "/base/a/b/c" for value in located(part, dict.fromkeys(paths, "a/b/c"), Path("/base")).values())
