"""Who may know of whom in src/faceedit: imports run downwards only, at the top of a module and within it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from faceedit.kinds import KINDS, class_at

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "run.py"
SOURCE = Path(__file__).parents[1] / "src" / "faceedit"
# From the top. A module imports from the floors below its own; one of a folder also from it.
FLOORS = (
    {"cli"},
    {"web"},
    {"cluster", "training"},
    {"evaluation"},
    {"batch", "data", "editing"},
    {"faces", "media"},
    {"tables", "weights"},
    {"models"},
    {"circumplex", "device", "files", "hub", "kinds", "pool"},
    {"config", "errors"},
)
ROOMS = set().union(*FLOORS)
MAX_FLOORS, MAX_ROOMS = 10, 24
MAX_LINES, MAX_FUNCTION_LINES = 280, 60
NETWORKS_USE = {"collections", "dataclasses", "faceedit", "functools", "itertools", "math", "numpy", "torch", "typing"}
NETWORKS_REACH = {"faceedit", "numpy", "torch", *sys.stdlib_module_names}
STARTING_USES = {"faceedit", "rich", "typer", *sys.stdlib_module_names}


def at_run_time(tree: ast.Module) -> ast.Module:
    """A module without the imports that only a checker of types follows."""
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    return tree


def place(path: Path) -> tuple[str, ...]:
    """Where a module is, such as ("cli", "edit"); a folder's own, ("cli",)."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


# The package's own __init__ and __main__ are the doors for programs and for `python -m`: they import what they open.
DOORS = {SOURCE / "__init__.py", SOURCE / "__main__.py"}
TREES = {
    place(path): at_run_time(ast.parse(path.read_text())) for path in sorted(SOURCE.rglob("*.py")) if path not in DOORS
}


def imported(nodes) -> set[tuple[str, ...]]:
    """What import statements among the nodes bring in, each as the parts of a module's name."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = tuple(node.module.split("."))
            found.add(parts)
            found |= {(*parts, alias.name) for alias in node.names if (*parts[1:], alias.name) in TREES}
    return found


def outside_functions(node):
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from outside_functions(child)


def inner(names) -> set[tuple[str, ...]]:
    """The names of our own modules among others, without the package's."""
    return {name[1:] for name in names if name[0] == "faceedit" and len(name) > 1}


def reached(rooms: set[str], nodes_of) -> dict[tuple[str, ...], set[tuple[str, ...]]]:
    """What is imported, in the nodes of their trees, by all modules of some rooms, by what these import, and so on.

    A module that is imported runs its folder's own first.
    """
    waiting, seen = [module for module in TREES if module[0] in rooms], {}
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen[module] = imported(nodes_of(TREES[module]))
            waiting += {name[:count] for name in inner(seen[module]) for count in (1, 2, 3) if name[:count] in TREES}
    return seen


def outside(found: dict[tuple[str, ...], set[tuple[str, ...]]], allowed: set[str]) -> list[str]:
    """Who imports what is not allowed, in words."""
    return [
        f"{'/'.join(module)} imports {name[0]}"
        for module in found
        for name in found[module] - {("faceedit",)}
        if name[0] not in allowed
    ]


def is_downwards(module: tuple[str, ...], other: tuple[str, ...]) -> bool:
    floor, other_floor = (next(i for i, rooms in enumerate(FLOORS) if name[0] in rooms) for name in (module, other))
    return other_floor > floor or module[0] == other[0]


def test_every_module_has_a_room_and_they_are_few():
    assert {module[0] for module in TREES} == ROOMS
    assert len(FLOORS) <= MAX_FLOORS
    assert len(ROOMS) <= MAX_ROOMS


def test_imports_run_downwards():
    wrong = []
    for module, tree in TREES.items():
        names = inner(imported(ast.walk(tree)))
        wrong += [f"{'/'.join(module)} imports {'.'.join(name)}" for name in names if not is_downwards(module, name)]
    assert wrong == []


def test_networks_know_no_pictures_and_no_files():
    """Nor does any module that they import, nor any that these do."""
    networks = {module: tree for module, tree in TREES.items() if module[0] == "models"}
    assert outside({module: imported(ast.walk(tree)) for module, tree in networks.items()}, NETWORKS_USE) == []
    assert outside(reached({"models"}, ast.walk), NETWORKS_REACH) == []
    assert "open" not in {getattr(node, "id", None) for tree in networks.values() for node in ast.walk(tree)}


def test_the_command_line_starts_without_heavy_imports():
    """Neither at the top of cli's modules nor at the top of what these import there, and so on."""
    assert outside(reached({"cli"}, outside_functions), STARTING_USES) == []


def test_the_table_of_kinds_names_classes_that_are_there_and_on_the_floors_of_their_users():
    """weights builds models, training trainers, editing backends: the names must not lead around the floors."""
    for name, kind in KINDS.items():
        for place, room in ((kind.model, "models"), (kind.trainer, "training"), (kind.backend, "editing")):
            if place is not None:
                assert class_at(place).__module__.startswith(f"faceedit.{room}."), (name, place)


def test_only_the_command_line_speaks_of_its_options():
    """Whoever calls the library from Python or on the page has none; the command line says what to do with them."""
    found = [
        f"{'/'.join(module)}: {node.value}"
        for module, tree in TREES.items()
        if module[0] != "cli"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"(^|\s)--[a-z]", node.value)
    ]
    assert found == []


def test_mouths_are_drawn_through_one_door():
    """Only its own package knows what a mouth is drawn with, so that a network can replace it as a whole."""
    behind = {("models", "mouth", name) for name in ("drawing", "inside", "lip_flow", "settings")}
    assert behind <= TREES.keys()
    users = {module: inner(imported(ast.walk(tree))) for module, tree in TREES.items()}
    assert [module for module, names in users.items() if names & behind and module[:2] != ("models", "mouth")] == []


def test_files_and_functions_fit_a_reader():
    long = [f"{path}: {lines}" for path, tree in TREES.items() if (lines := length(tree)) > MAX_LINES]
    for path, tree in TREES.items():
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        long += [f"{path} {node.name}" for node in functions if node.end_lineno - node.lineno >= MAX_FUNCTION_LINES]
    assert long == []


def length(tree: ast.Module) -> int:
    return max((getattr(node, "end_lineno", 0) or 0 for node in ast.walk(tree)), default=0)


def test_the_benchmark_measures_networks_and_training():
    """Nothing else calls what it names: it may lag behind the code."""
    command = [sys.executable, BENCHMARK, "--quick", "--only", "networks", "training"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for ratio in ("networks / the paper's", "speed of training / of the networks alone"):
        (row,) = (line for line in done.stdout.splitlines() if line.startswith(f"| {ratio} |"))
        assert 0.05 < float(row.split("|")[2]) < 5
