"""How well the rooms of a source tree are kept apart: counts of modules, imports between rooms, and cycles.

    python benchmarks/architecture.py src --out architecture.json

A room is a module or package at the root of `psmnet`. What a room offers by its stub counts as an import of the module
that the stub names (`from psmnet.volume import Volume` imports psmnet.volume.volume). Upward imports are those that
would have to go before the rooms have an order in which every import goes down.
"""

import argparse
import ast
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import grimp
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

PACKAGE = "psmnet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path, help=f"folder that holds {PACKAGE}/")
    parser.add_argument("--out", type=Path, help="JSON file for the counts")
    options = parser.parse_args()
    found = measure(options.tree)
    for name, value in found.items():
        print(f"{name.replace('_', ' ')}: {value}")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def measure(tree: Path) -> dict[str, Any]:
    """Counts of one source tree; the package must not have been imported."""
    sys.path.insert(0, str(tree.resolve()))
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    follow_stubs(graph, tree)
    root = tree / PACKAGE
    crossing = [(a, b) for a, b in imports(graph) if room_of(a) and room_of(b) and room_of(a) != room_of(b)]
    cycles = {"rooms": tangles({(room_of(a), room_of(b)) for a, b in crossing}), "modules": tangles(imports(graph))}
    inside = {package: len(graph.nominate_cycle_breakers(package)) for package in packages(graph) if package != PACKAGE}
    return {
        "modules_at_the_root": sum(path.name != "__init__.py" for path in root.glob("*.py")),
        "packages_at_the_root": sum((path / "__init__.py").exists() for path in root.iterdir()),
        "modules": len(graph.modules),
        "imports_between_rooms": len({(a, room_of(b)) for a, b in crossing}),  # a module and a room that it imports
        "pairs_of_rooms": len({(room_of(a), room_of(b)) for a, b in crossing}),
        "upward_imports": len(graph.nominate_cycle_breakers(PACKAGE)),
        "cycles_between_rooms": cycles["rooms"],
        "cycles_between_modules": cycles["modules"],
        "upward_imports_inside_rooms": {package: count for package, count in inside.items() if count},
    }


def follow_stubs(graph: grimp.ImportGraph, tree: Path) -> None:
    """Replace imports from a package that is filled by a stub by imports of the modules that the stub names."""
    stubs = {package: stub for package in packages(graph) if (stub := names_of(package, tree)) is not None}
    for importer, imported in imports(graph):
        if imported not in stubs:
            continue
        graph.remove_import(importer=importer, imported=imported)
        path = tree.joinpath(*importer.split("."))
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == imported:
                for module in {home(imported, alias.name, stubs) for alias in node.names}:
                    graph.add_import(importer=importer, imported=module)


def names_of(package: str, tree: Path) -> dict[str, str] | None:
    """Each name that a package's stub offers, and the module it comes from; None without a stub."""
    stub = tree.joinpath(*package.split(".")) / "__init__.pyi"
    if not stub.exists():
        return None
    nodes = ast.parse(stub.read_text(encoding="utf-8")).body
    return {
        alias.name: f"{package}.{node.module}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }


def home(package: str, name: str, stubs: dict[str, dict[str, str]]) -> str:
    """The module that a name of a package comes from, through as many stubs as it takes."""
    while package in stubs:
        package = stubs[package].get(name, f"{package}.{name}")
    return package


def imports(graph: grimp.ImportGraph) -> list[tuple[str, str]]:
    """Every pair of importing and imported module."""
    return sorted((a, b) for a in graph.modules for b in graph.find_modules_directly_imported_by(a))


def packages(graph: grimp.ImportGraph) -> list[str]:
    """Modules that hold others."""
    return sorted(module for module in graph.modules if graph.find_children(module))


def room_of(module: str) -> str:
    """What stands at the root; empty for the root itself."""
    return module.partition(".")[2].partition(".")[0]


def tangles(edges: Any) -> list[list[str]]:
    """Groups whose members reach each other in both directions."""
    names = sorted({name for edge in edges for name in edge})
    number = {name: i for i, name in enumerate(names)}
    ends = np.array([[number[a], number[b]] for a, b in edges]).reshape(-1, 2).T
    matrix = coo_array((np.ones(ends.shape[1]), tuple(ends)), shape=(len(names),) * 2)
    _, groups = connected_components(matrix, connection="strong")
    members: dict[int, list[str]] = defaultdict(list)
    for name, group in zip(names, groups, strict=True):
        members[int(group)].append(name)
    return [group for group in members.values() if len(group) > 1]


if __name__ == "__main__":
    main()
