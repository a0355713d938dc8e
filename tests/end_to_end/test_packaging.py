"""The wheel is complete, says the truth about itself and works without the source tree."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import sagan_tf

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "sagan_tf").rglob("*.py"))
# Who may import what an extra brings.
EXTRAS = {
    f"sagan_tf/serving/{name}.py": "serve"
    for name in (
        "gateway/app",
        "gateway/metrics",
        "gateway/upstream",
        "http/connections",
        "http/guarded_server",
        "server/app",
        "server/json_outputs",
    )
}
EXTRAS |= {
    f"sagan_tf/serving/playground/{name}.py": "playground" for name in ("guard", "layout", "page")
}
EXTRAS |= {f"sagan_tf/serving/exporting/{name}_format.py": name for name in ("onnx", "tflite")}
EXTRAS["sagan_tf/output/films.py"] = "film"
EXTRAS |= dict.fromkeys(
    (
        "sagan_tf/pretrained/folder.py",
        "sagan_tf/pretrained/hub.py",
        "sagan_tf/serving/exporting/hub_card.py",
        "sagan_tf/publish.py",
    ),
    "hub",
)
EXTRAS |= dict.fromkeys(
    (
        "sagan_tf/output/pages.py",
        "sagan_tf/evaluation/report.py",
        "sagan_tf/study/curves.py",
        "sagan_tf/study/geotex_report.py",
        "sagan_tf/study/score_report.py",
    ),
    "report",
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run_python(*arguments, **options):
    """Runs the tests' interpreter and returns what it printed."""
    finished = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **options
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def build(folder, kind):
    """The path of a distribution, by the build backend that pyproject.toml names."""
    script = f"import build; print(build.ProjectBuilder('.').build({kind!r}, 'dist'))"
    return Path(run_python("-c", script, cwd=folder).splitlines()[-1])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what a package is built from, as setuptools leaves its traces beside the source."""
    folder = tmp_path_factory.mktemp("source")
    for path in ("sagan_tf", "tests"):
        shutil.copytree(ROOT / path, folder / path, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def distributions(source):
    """The sdist and the wheel, built offline: the wheel from the sdist, as for a package index."""
    sdist = build(source, "sdist")
    shutil.unpack_archive(sdist, source / "unpacked", filter="data")
    (unpacked,) = (source / "unpacked").iterdir()
    return sdist, build(unpacked, "wheel")


@pytest.fixture(scope="module")
def wheel(distributions):
    return distributions[1]


def test_a_package_index_would_take_both(distributions):
    assert [path.name for path in distributions] == [
        f"sagan_tf-{sagan_tf.__version__}.tar.gz",
        f"sagan_tf-{sagan_tf.__version__}-py3-none-any.whl",
    ]
    printed = run_python("-m", "twine", "check", "--strict", *map(str, distributions))
    assert printed.count("PASSED") == 2


def test_wheel_holds_every_module_and_no_tests(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names >= {str(path.relative_to(ROOT)) for path in MODULES}
    assert names >= {"sagan_tf/data/imagenet_classes.tsv", "sagan_tf/attention/map_page.html"}
    assert names >= {f"sagan_tf/pretrained/digits.{ending}" for ending in ("json", "npz")}
    assert {name.split("/")[0] for name in names} == {"sagan_tf"}
    assert "sagan_tf/py.typed" in names  # else type checkers overlook the annotations


def test_version_is_the_same_everywhere(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = HeaderParser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == sagan_tf.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {sagan_tf.__version__}\n" in citation


def test_every_module_imports_from_the_wheel_alone(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES]
    names = [name.removesuffix(".__init__") for name in names]
    script = f"import importlib; [importlib.import_module(name) for name in {names}]"
    script += "; import sagan_tf; print(sagan_tf.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    printed = run_python("-c", script, cwd=tmp_path, env=environment)
    assert printed.endswith(str(tmp_path / "installed" / "sagan_tf" / "__init__.py"))


def test_it_installs_into_an_empty_environment(wheel, tmp_path):
    run_python("-m", "venv", "--without-pip", tmp_path / "empty")
    python = tmp_path / "empty" / "bin" / "python"
    pip = ("-m", "pip", "--python", python, "--disable-pip-version-check")
    run_python(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel)
    (tmp_path / "elsewhere").mkdir()
    options = {"cwd": tmp_path / "elsewhere", "text": True, "env": {"PATH": os.defpath}}
    script = "import sagan_tf; print(sagan_tf.__file__, sagan_tf.__version__)"
    place, version = subprocess.check_output([python, "-c", script], **options).split()
    assert Path(place).is_relative_to(tmp_path / "empty")
    assert version == sagan_tf.__version__
    printed = subprocess.check_output([python, "-m", "sagan_tf"], **options)
    assert "python -m sagan_tf.train" in printed


def test_importing_the_package_imports_no_framework():
    script = "import sys, sagan_tf; print({'tensorflow', 'keras', 'numpy'} & set(sys.modules))"
    assert run_python("-c", script, cwd=ROOT) == "set()"


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_dependencies_cover_every_import():
    distributions = importlib.metadata.packages_distributions()
    for path in MODULES:
        extra = EXTRAS.get(str(path.relative_to(ROOT)))
        lines = PROJECT["dependencies"] + (PROJECT["optional-dependencies"][extra] if extra else [])
        declared = {canonical(re.match(r"[\w.-]+", line)[0]) for line in lines}
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
        froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names = {alias.name for node in imports for alias in node.names}
        names |= {node.module for node in froms if not node.level}
        third_party = {name.split(".")[0] for name in names} - sys.stdlib_module_names
        for name in third_party - {"sagan_tf"}:
            owners = {canonical(owner) for owner in distributions.get(name, [])}
            assert owners & declared, f"{path} imports {name}, of {owners}, which is not declared"
