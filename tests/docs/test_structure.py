"""What CONTRIBUTING.md says of names and sizes, held against the packages' source."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "bulk",
    "client",
    "contract",
    "deploy",
    "discovery",
    "httpd",
    "jobs",
    "proxy",
    "runtime",
    "training",
    "worker",
)
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
CLASS = re.compile(r"^ *class (\w+)\s*[(:]", re.MULTILINE)
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_ATTRIBUTES = 15
MAX_CONSTRUCTOR_PARAMETERS = 8
CONSUL_OBJECTS = {
    "discovery/embedded/model.py: Service",  # the fields of a service in Consul's health answers
    "discovery/embedded/model.py: Check",  # the fields of a check there
}
"""Plain values that have more fields than a constructor may have parameters."""
CLIENTS = {"client/fleet_calls.py: FleetCalls", "client/sync_client.py: FleetClient"}
"""What users write: each of their options has a name and a default."""


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path in FILES:
        for name in CLASS.findall(path.read_text()):
            places[name.lstrip("_")].append(str(path.relative_to(ROOT)))
    assert len(places) > 500
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_files_and_functions_have_a_bounded_length(package: str) -> None:
    too_long = []
    for path in (ROOT / package).rglob("*.py"):
        text = path.read_text()
        if text.count("\n") > MAX_FILE_LINES:
            too_long.append(str(path.relative_to(ROOT)))
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    too_long.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert too_long == []


def test_constructors_have_few_parameters() -> None:
    found = {where: parameters(node) for where, node in classes()}
    assert {
        where for where, names in found.items() if len(names) > MAX_CONSTRUCTOR_PARAMETERS
    } == CONSUL_OBJECTS | CLIENTS


def test_classes_have_few_attributes() -> None:
    found = {where: attributes(node) for where, node in classes()}
    assert {where: names for where, names in found.items() if len(names) > MAX_ATTRIBUTES} == {}


@cache
def nodes(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """The functions and classes of a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


def classes() -> list[tuple[str, ast.ClassDef]]:
    """All classes, each with its place."""
    return [
        (f"{path.relative_to(ROOT)}: {node.name}", node)
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
    ]


def fields(node: ast.ClassDef, *without: str) -> set[str]:
    """The names that the class's body annotates: a dataclass's fields. Leaves out those with these texts."""
    annotated = [each for each in node.body if isinstance(each, ast.AnnAssign)]
    return {
        ast.unparse(each.target)
        for each in annotated
        if not any(text in ast.unparse(each) for text in ("ClassVar", *without))
    }


def parameters(node: ast.ClassDef) -> set[str]:
    """The parameters of a class's constructor, without `self`; of a dataclass, its fields."""
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            arguments = (*each.args.posonlyargs, *each.args.args, *each.args.kwonlyargs)
            return {one.arg for one in arguments} - {"self"}
    if any("dataclass" in ast.unparse(one) for one in node.decorator_list):
        return fields(node, "init=False")
    return set()


def attributes(node: ast.ClassDef) -> set[str]:
    """The fields of a class, and what its methods assign to `self`."""
    assigned = {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }
    return fields(node) | assigned
