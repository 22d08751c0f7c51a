"""The order of the folders: each uses only what stands below it, and nothing goes in a circle."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAPPED = ("assets", "benchmarks", "reference_motions", "train")
FLOORS = (
    ("errors", "array_types", "assets", "reference_motions"),
    ("checks", "files", "rotations", "spans", "plugins"),
    ("objects", "seeds", "skeleton"),
    ("motion",),
    ("registry",),
    ("export", "physics"),
    ("characters", "terrains", "video"),
    ("render",),
    ("fitting",),
    ("pose",),
    ("reconstruction", "retargeting"),
    ("extract", "envs"),
    ("play", "jobs"),
    ("assessment", "completion", "library", "train"),
    ("benchmarks",),
    ("cli",),
)
"""From the ground up: modules and folders of ``sfv_gym``. Those of one floor do not see each
other, but for what stands in one folder."""
LAZY = {
    # registering is done by name, so that importing the package stays quick
    ("registry", "characters"),
    ("registry", "terrains"),
}
"""Imports within a function that go up, each for its reason."""


def modules() -> dict[str, Path]:
    """Dotted names below ``sfv_gym``, of all code."""
    found = {}
    for folder in (ROOT / "sfv_gym", *(ROOT / name for name in MAPPED)):
        base = folder if folder.name == "sfv_gym" else ROOT
        for path in folder.rglob("*.py"):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    found.pop("", None)
    return found


def imports(path: Path, known: dict[str, Path], hints_too: bool) -> list[tuple[str, bool]]:
    """What a module imports of the package, and whether it does within a function.

    Args:
        hints_too: also what it imports for its type hints alone.
    """
    tree = ast.parse(path.read_text())
    hints = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for node in ast.walk(test)
    }
    late = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in hints and not hints_too:
            continue
        names = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sfv_gym"):
            below = node.module.removeprefix("sfv_gym").lstrip(".")
            for alias in node.names:
                whole = f"{below}.{alias.name}".lstrip(".")
                names.append(whole if whole in known else below)
        elif isinstance(node, ast.Import):
            names = [a.name.removeprefix("sfv_gym.") for a in node.names if "sfv_gym." in a.name]
        found += [(name, id(node) in late) for name in names if name]
    return found


KNOWN = modules()
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}


def room(module: str) -> str:
    return module.split(".")[0]


def test_every_room_has_a_floor():
    assert {room(name) for name in KNOWN} == set(FLOOR)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_module_uses_only_what_stands_below_it(name):
    here = room(name)
    for other, late in imports(KNOWN[name], KNOWN, hints_too=False):
        there = room(other)
        if there == here or (late and (here, there) in LAZY):
            continue
        assert FLOOR[there] < FLOOR[here], f"{name} imports {other}"


def test_nothing_goes_in_a_circle():
    """Within a folder, too; imports within functions and those for type hints count as well."""
    arrows = {
        name: {other for other, _ in imports(path, KNOWN, hints_too=True) if other != name}
        for name, path in KNOWN.items()
    }
    arrows["registry"] -= {"characters", "terrains"}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in sorted(arrows.get(name, ())):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(arrows):
        visit(name, ())
