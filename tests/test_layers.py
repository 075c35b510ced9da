"""Who may know of whom in src/faceedit: imports run downwards only, at the top of a module and within it."""

import ast
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "faceedit"
# From the top. A module imports from the rooms below its own; one of a folder also from it.
ROOMS = (
    {"__main__"},
    {"cli"},
    {"web"},
    {"cluster", "training"},
    {"evaluation"},
    {"batch"},
    {"data", "editing"},
    {"faces"},
    {"media"},
    {"weights"},
    {"models"},
    {"hub"},
    {"circumplex", "device", "files"},
    {"config", "errors"},
)
NETWORKS_USE = {"collections", "dataclasses", "faceedit", "functools", "itertools", "math", "numpy", "torch", "typing"}
STARTING_USES = {"faceedit", "rich", "typer", *sys.stdlib_module_names}


def at_run_time(tree: ast.Module) -> ast.Module:
    """A module without the imports that only a checker of types follows."""
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    return tree


# By place, such as ("cli", "edit"). The package's own __init__ is the door for programs, and imports what it hands out.
PATHS = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
TREES = {path.relative_to(SOURCE).with_suffix("").parts: at_run_time(ast.parse(path.read_text())) for path in PATHS}


def imported(nodes) -> set[tuple[str, ...]]:
    """What import statements among the nodes bring in, each as the parts of a module's name."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = tuple(node.module.split("."))
            found |= {(*parts, alias.name) if parts == ("faceedit",) else parts for alias in node.names}
    return found


def outside_functions(node):
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from outside_functions(child)


def is_downwards(module: tuple[str, ...], other: tuple[str, ...]) -> bool:
    floor, other_floor = (next(i for i, room in enumerate(ROOMS) if name[0] in room) for name in (module, other))
    return other_floor > floor or (len(module) > 1 and module[0] == other[0])


def test_every_module_has_a_room():
    assert {module[0] for module in TREES} == set().union(*ROOMS)


def test_imports_run_downwards():
    wrong = []
    for module, tree in TREES.items():
        inner = {name[1:] for name in imported(ast.walk(tree)) if name[0] == "faceedit"} - {("__version__",)}
        wrong += [f"{'/'.join(module)} imports {'.'.join(name)}" for name in inner if not is_downwards(module, name)]
    assert wrong == []


def test_networks_know_no_pictures_and_no_files():
    trees = [tree for module, tree in TREES.items() if module[0] == "models"]
    assert {name[0] for tree in trees for name in imported(ast.walk(tree))} <= NETWORKS_USE
    assert "open" not in {getattr(node, "id", None) for tree in trees for node in ast.walk(tree)}


def test_the_command_line_starts_without_heavy_imports():
    """Neither at the top of cli's modules nor at the top of what these import there, and so on."""
    waiting, seen = [module for module in TREES if module[0] == "cli"], set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        names = imported(outside_functions(TREES[module]))
        assert {name[0] for name in names} <= STARTING_USES, f"at the top of {'/'.join(module)}"
        waiting += [name[1:] for name in names if name[1:] in TREES and name[1:] not in seen]
