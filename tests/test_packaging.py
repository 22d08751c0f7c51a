"""The package as it is installed: mapped folders, data files, metadata, a light import."""

import configparser
import importlib
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
MAPPED = ("assets", "benchmarks", "reference_motions", "train")
LIGHT = {"sfv_gym", "sfv_gym.errors", "sfv_gym.reference_motions", "sfv_gym.registry"}
"""What ``import sfv_gym`` loads of the package: what registers ids, nothing that reads a file."""


@pytest.fixture(scope="module")
def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


@pytest.mark.parametrize("folder", MAPPED)
def test_a_top_level_folder_is_a_part_of_the_package(folder):
    module = importlib.import_module(f"sfv_gym.{folder}")
    assert module.__doc__


def test_setup_cfg_names_every_folder_with_code(config):
    """A folder that is not named works here and is missing from the wheel."""
    folders = {
        path.parent.relative_to(ROOT)
        for top in ("sfv_gym", *MAPPED)
        for path in (ROOT / top).rglob("*.py")
    }
    packages = {
        ".".join(folder.parts if folder.parts[0] == "sfv_gym" else ("sfv_gym", *folder.parts))
        for folder in folders
    }
    assert set(config["options"]["packages"].split()) == packages


def test_setup_cfg_ships_every_kind_of_data_file(config):
    patterns = config["options.package_data"]["*"].split()
    shipped = {Path(pattern).suffix for pattern in patterns}
    kinds = {
        path.suffix
        for top in ("sfv_gym", *MAPPED)
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "py.typed"
    }
    assert kinds - {".py"} <= shipped


def test_data_files_are_found_through_the_package():
    humanoid = resources.files("sfv_gym.assets") / "characters" / "humanoid.xml"
    assert "<mujoco" in humanoid.read_text(encoding="utf-8")
    assert (resources.files("sfv_gym") / "py.typed").is_file()


def test_importing_the_package_is_light():
    """Beside Gymnasium it takes modules of the standard library alone, and few of its own."""
    code = (
        "import sys, gymnasium, numpy; before = set(sys.modules); import sfv_gym; "
        "print(*{name for name in set(sys.modules) - before"
        " if name.split('.')[0] not in sys.stdlib_module_names})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert set(result.stdout.split()) == LIGHT


def test_generic_names_stay_out_of_site_packages(tmp_path):
    """Outside the checkout only sfv_gym can be imported, not `train` or `assets`."""
    code = (
        "import importlib.util as u; "
        f"print(*[name for name in {MAPPED!r} if u.find_spec(name) is not None])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert result.stdout.split() == []


def test_metadata():
    import sfv_gym

    assert metadata.version("sfv-gym") == sfv_gym.__version__
    scripts = {entry.name: entry.value for entry in metadata.entry_points(group="console_scripts")}
    assert scripts["sfv"] == "sfv_gym.cli.main:main"


def test_the_citation_is_of_this_version(config):
    import sfv_gym

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == sfv_gym.__version__.split(".dev")[0]
    assert citation["license"] == config["metadata"]["license"]


def test_only_one_opencv_is_installed():
    """Two of them would write over the same `cv2`; mediapipe brings opencv-contrib-python."""
    names = {(d.metadata["Name"] or "").lower() for d in metadata.distributions()}
    assert len({name for name in names if name.startswith("opencv-")}) <= 1


def test_every_dependency_has_a_tested_version(config):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    extras = config["options.extras_require"].values()
    wanted = "\n".join([config["options"]["install_requires"], *extras]).split()
    names = {w.split(">=")[0].lower() for w in wanted if not w.startswith(("sfv-gym", "#"))}
    assert {n.replace("_", "-") for n in names} <= {p.replace("_", "-") for p in pinned}
