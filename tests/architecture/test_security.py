"""What no module may do: unpickle, evaluate text, run a shell, or let a checkpoint bring its own code unasked."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from omegaconf._utils import get_yaml_loader

from safelab.runlog import files

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("src", "scripts") for path in (ROOT / folder).rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "torch.load", "torch.save", "yaml.load", "pd.read_pickle",
         "np.load", "numpy.load", "pandas.read_pickle"}  # fmt: skip
# Opting in by configuration is the user's right; its default is tested below.
MAY_PASS_ON = {ROOT / "src/safelab/parts/reward/sequence_classifier.py", ROOT / "src/safelab/pretrained/load.py"}


# The run log's own, and OmegaConf's, which reads 1e-4 as a number.
SAFE_LOADERS = ("_LOADER", "get_yaml_loader()")


def forbidden(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if node.module and node.module.split(".")[0] in MODULES else []
        elif isinstance(node, ast.Call):
            safe = any(
                keyword.arg == "Loader" and ast.unparse(keyword.value) in SAFE_LOADERS for keyword in node.keywords
            )
            found += [name for name in [ast.unparse(node.func)] if name in CALLS and not safe]
            # Unless it is told not to, an Auto class asks on standard input, and runs it after a y.
            asks = re.fullmatch(r"(\w+\.)*Auto\w+\.from_(pretrained|config)", ast.unparse(node.func)) is not None
            silent = all(keyword.arg != "trust_remote_code" for keyword in node.keywords)
            found += ["asks"] if asks and silent else []
            for keyword in node.keywords:
                shell = keyword.arg == "shell" and ast.unparse(keyword.value) != "False"
                told = ast.unparse(keyword.value) != "False"
                remote = keyword.arg == "trust_remote_code" and told and path not in MAY_PASS_ON
                pickled = keyword.arg in ("use_safetensors", "weights_only") and ast.unparse(keyword.value) != "True"
                found += [keyword.arg] if shell or remote or pickled else []
    return found


def test_there_is_something_to_read() -> None:
    assert len(SOURCES) > 150


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_is_unpickled_evaluated_or_run(path: Path) -> None:
    assert forbidden(path) == []


def test_the_one_loader_of_yaml_that_is_named_is_the_safe_one() -> None:
    safe = (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert issubclass(files._LOADER, safe)
    assert issubclass(get_yaml_loader(), safe)


def test_the_search_finds_what_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "import pickle\ntorch.load(path)\neval(text)\nf(trust_remote_code=flag)\nrun(x, shell=True)\n"
        "AutoModel.from_pretrained(x)\n"
    )
    found = forbidden(tmp_path / "bad.py")
    assert sorted(found) == ["asks", "eval", "pickle", "shell", "torch.load", "trust_remote_code"]


def test_a_checkpoints_own_code_runs_only_where_the_user_says_so() -> None:
    defaults = [
        (yaml.safe_load(path.read_text()) or {}).get("trust_remote_code", False)
        for path in (ROOT / "conf").rglob("*.yaml")
    ]
    assert len(defaults) > 50
    assert not any(defaults)


def test_every_checkpoint_of_a_model_is_loaded_from_safetensors() -> None:
    """World models are safelab's own files; tokenizers and configurations hold no tensors."""
    loads = [
        (path.name, ast.unparse(node))
        for path in SOURCES
        if "world" not in path.parts and "scripts" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(".from_pretrained")
        and not ast.unparse(node.func).startswith(("AutoTokenizer", "AutoConfig", "PeftConfig"))
    ]
    assert [name for name, _ in loads] == ["load.py"]  # the one place
    assert [load for load in loads if "use_safetensors=True" not in load[1]] == []
