"""The house keeps its order: imports point downwards and never in circles, and nothing grows out of hand.

Read from the syntax trees, so imports inside functions and under TYPE_CHECKING count, and so do the dotted names in
registries. docs/architecture.md says what each room is for.
"""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "hqmd_cli"

# From top to bottom. A module may import its own room and the lines below, never its own line or one above.
FLOORS = [
    {"app", "api"},
    {"commands"},
    {"terminal"},
    {"reporting"},
    {"training", "export", "serving", "scale"},
    {"evaluation", "prediction"},
    {"inference"},
    {"checkpoints"},
    {"losses"},
    {"models", "data"},
    {"page"},
    {"visualization"},
    {"geometry", "parallel", "files"},
    {"config"},
    {"depth"},
    {"units"},
    {"registry"},
    {"installed"},
    {"errors"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# The only imports that may point upwards, each with its reason.
EXCEPTIONS = {
    # `from hqmd_cli import load` is what users write.
    ("__init__", "hqmd_cli.api"),
    # Registry strings: a checkpoint's name decides what opens it, before anything that opens it is imported.
    ("checkpoints/hub", "hqmd_cli.inference.foreign.hugging_face:open_model"),
    ("checkpoints/hub", "hqmd_cli.inference.foreign.onnx_file:open_model"),
    ("checkpoints/hub", "hqmd_cli.inference.foreign.python_function:open_model"),
}

LOOSE_MODULES = 8  # at most, at the top of the package
MODULE_LINES = 400
FUNCTION_LINES = 60
COMMAND_LINES = 40  # of a command's body, without its signature and docstring
LONG_BY_DESIGN = {("training/loop", "fit")}  # the loop is to be read from top to bottom

DOTTED_NAME = re.compile(r"hqmd_cli(\.\w+)+(:\w+)?")


@cache
def trees() -> dict[str, ast.Module]:
    """Module, such as "models/network", or "models/__init__" -> its syntax tree."""
    return {
        str(path.relative_to(ROOT).with_suffix("")): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(ROOT.rglob("*.py"))
    }


@cache
def imported(tree: ast.Module) -> list[str]:
    """Dotted names of the package's modules that are imported anywhere in a module."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hqmd_cli":
            # `from hqmd_cli.models import aspp` may import a module.
            names += [module for alias in node.names if (module := module_of(f"{node.module}.{alias.name}"))]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.startswith("hqmd_cli.")]
    return names


def module_of(dotted: str) -> str | None:
    """The module that a dotted name is, or lies in; None for a name of the package itself, such as __version__."""
    name = dotted.removeprefix("hqmd_cli").lstrip(".").replace(".", "/")
    if name in trees() or f"{name}/__init__" in trees():
        return dotted
    return None if "/" not in name else module_of(dotted.rpartition(".")[0])


@cache
def registered(tree: ast.Module) -> list[str]:
    """The dotted names in a module's registries."""
    strings = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [string for string in strings if DOTTED_NAME.fullmatch(string)]


def room_of(module: str) -> str:
    return module.split("/")[0]


def test_imports_point_downwards() -> None:
    upwards = []
    for module, tree in trees().items():
        for name in [*imported(tree), *registered(tree)]:
            room = re.split(r"[.:]", name)[1]
            inside = room == room_of(module)
            if not inside and FLOOR[room] <= FLOOR.get(room_of(module), -1) and (module, name) not in EXCEPTIONS:
                upwards.append(f"{module} imports {name}")
    assert not upwards, "\n".join(upwards)


def test_every_exception_is_needed() -> None:
    there = {(module, name) for module, tree in trees().items() for name in [*imported(tree), *registered(tree)]}
    assert there >= EXCEPTIONS


def test_no_circles() -> None:
    def key(dotted: str) -> str:
        name = dotted.removeprefix("hqmd_cli.").replace(".", "/")
        return name if name in trees() else f"{name}/__init__"

    graph = {
        module: {key(name) for name in imported(tree) if (module, name) not in EXCEPTIONS} - {module}
        for module, tree in trees().items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_few_modules_lie_loose() -> None:
    loose = [module for module in trees() if "/" not in module and not module.startswith("__")]
    assert len(loose) <= LOOSE_MODULES, loose


def test_no_module_is_too_long() -> None:
    long = {module: tree.body[-1].end_lineno for module, tree in trees().items() if tree.body}
    assert not {module: lines for module, lines in long.items() if (lines or 0) > MODULE_LINES}


def test_no_function_is_too_long() -> None:
    long = []
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (module, node.name) in LONG_BY_DESIGN:
                continue
            is_command = room_of(module) == "commands"
            lines = body_lines(node) if is_command else (node.end_lineno or 0) - node.lineno + 1
            if lines > (COMMAND_LINES if is_command else FUNCTION_LINES):
                long.append(f"{module}: {node.name} has {lines} lines")
    assert not long, "\n".join(long)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function behind its signature and docstring."""
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - statements[0].lineno + 1 if statements else 0
