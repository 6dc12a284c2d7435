"""The built wheel, installed by itself, runs from another folder and finds its configuration inside."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("safelab-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True, timeout=120)
    return folder


def run(installed: Path, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Python without ``.pth`` files (-S), so that the checkout, installed editable, is not there."""
    paths = os.pathsep.join([str(installed), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, "-S", *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


def safelab(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(installed, cwd, "-c", "import sys; from safelab.app.cli import main; sys.exit(main())", *arguments)


def test_the_configuration_is_inside_and_the_plugins_are_a_namespace(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    conf = {path.relative_to(ROOT).as_posix() for path in (ROOT / "conf").rglob("*.yaml")}
    assert len(conf) > 40
    assert {f"safelab/{path}" for path in conf} <= names
    published = {path.relative_to(ROOT / "src").as_posix() for path in ROOT.glob("src/safelab/results/published/*.*")}
    assert any(path.endswith(".csv") for path in published)
    assert published <= names
    assert "hydra_plugins/safelab_local_launcher/local.py" in names
    assert "hydra_plugins/__init__.py" not in names
    assert not [name for name in names if name.startswith(("tests/", "conf/", "scripts/"))]


def test_it_is_the_installed_package_that_runs(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-c", "import safelab; print(safelab.__file__)")
    assert Path(done.stdout.strip()) == installed / "safelab" / "__init__.py", done.stderr


def test_it_composes_from_another_folder(installed: Path, tmp_path: Path) -> None:
    done = safelab(installed, tmp_path, "train", "algorithm=safe", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "name: double_soft_min" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_its_launcher_is_found(installed: Path, tmp_path: Path) -> None:
    done = safelab(installed, tmp_path, "train", "--info", "plugins")
    assert "SafelabLauncher" in done.stdout, done.stderr


def test_its_mistakes_name_the_installed_options(installed: Path, tmp_path: Path) -> None:
    done = safelab(installed, tmp_path, "train", "algorithm=saef")
    assert done.returncode == 2
    assert "did you mean 'safe'?" in done.stderr


def test_the_command_is_installed(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, str(installed / "bin" / "safelab"), "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: safelab" in done.stdout
