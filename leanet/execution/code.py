"""Which code computes a result, read from the source: what a function's module imports, directly or not."""

import ast
import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path

import torch


def imported_modules(script: Path, root: Path) -> set[str]:
    """Paths, relative to `root`, of the modules under it that `script` imports, itself included."""
    found: set[str] = set()
    waiting = [script]
    while waiting:
        file = waiting.pop()
        name = file.relative_to(root).as_posix()
        if name in found:
            continue
        found.add(name)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            candidates = (root / (name.replace(".", "/") + ".py") for name in names)
            waiting += [module for module in candidates if module.is_file()]
    return found


@cache
def digest(function: Callable) -> str:
    """A hash of the code that `function` runs, torch's version included; comments and docstrings do not count."""
    file = Path(inspect.getfile(function)).resolve()
    root = file.parents[function.__module__.count(".")]
    said = [function.__qualname__, torch.__version__, metadata.version("torchvision")]
    for module in sorted(imported_modules(file, root)):
        tree = ast.parse((root / module).read_text(encoding="utf-8"))
        said += [module, ast.dump(_without_docstrings(tree))]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return tree
