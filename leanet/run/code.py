"""Which code computes a result, followed from function to function through the source.

What cannot change a result does not count: comments, docstrings, type hints, the words of an error.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

Name = tuple[str, str]  # a module, and a name in it; "" stands for the statements that importing the module runs


@cache
def digest(function: Callable) -> str:
    """A hash of all code of this project that `function` may run.

    Followed are names: of functions, of classes as a whole, of constants, and what these name in turn, in other
    modules too. The class of an object that is handed in counts only where the code names it.
    """
    root = Path(inspect.getfile(function)).resolve().parents[function.__module__.count(".")]
    return digest_of((function.__module__, function.__qualname__), root)


def digest_of(name: Name, root: Path) -> str:
    """The same for a function by its name; `root` is the folder that the project's packages lie in."""
    definitions = sorted(reached(name, root).items())
    return hashlib.sha256(repr(definitions).encode()).hexdigest()


def reached(name: Name, root: Path) -> dict[Name, str]:
    """All definitions that the code of one needs, itself included, each as its syntax tree in text."""
    found: dict[Name, str] = {}
    modules: dict[str, _Module] = {}
    waiting = [name]
    while waiting:
        module, local = waiting.pop()
        if (module, local) in found or not (file := _file(root, module)):
            continue
        if module not in modules:
            modules[module] = _Module(module, file, root)
            waiting.append((module, ""))
        nodes = modules[module].definitions.get(local)
        if nodes is None:  # not defined there: imported from elsewhere, or Python's own
            waiting += [place for place in modules[module].imports.get(local, []) if place[1]]
            continue
        found[module, local] = "\n".join(map(ast.dump, nodes))
        for node in nodes:
            waiting += modules[module].names(node)
    return found


def _file(root: Path, module: str) -> Path | None:
    """The source of a module of this project; None for others."""
    place = root / module.replace(".", "/")
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


class _Module:
    """A module's definitions, and what its imports bring: by local name, where it comes from."""

    def __init__(self, name: str, file: Path, root: Path):
        self.name = name
        tree = _Bare().visit(ast.parse(file.read_text(encoding="utf-8")))
        self.definitions: dict[str, list[ast.stmt]] = {"": []}
        for node in tree.body:
            for local in _defines(node):
                self.definitions.setdefault(local, []).append(node)
        self.imports: dict[str, list[Name]] = {}
        for node in ast.walk(tree):  # those within functions, too
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    whole = alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
                    is_module = isinstance(node, ast.Import) or _file(root, whole)
                    place = (whole, "") if is_module else (node.module, alias.name)
                    self.imports.setdefault(alias.asname or alias.name, []).append(place)

    def names(self, node: ast.stmt) -> Iterator[Name]:
        """What a definition names."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                yield self.name, part.id
            elif isinstance(part, ast.Attribute):
                for module, local in self.imports.get(ast.unparse(part.value), []):
                    if not local:
                        yield module, part.attr


def _defines(node: ast.stmt) -> list[str]:
    """The names that a statement of a module defines; "" where it does something else."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return []
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
    return [""]


class _Bare(ast.NodeTransformer):
    """Takes away what cannot change a result."""

    def _without_docstring(self, node):
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        return self.generic_visit(node)

    def visit_Module(self, node: ast.Module) -> ast.Module:
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return self._without_docstring(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        return self._without_docstring(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        node.annotation = ast.Constant(None)  # a field of a dataclass stays one
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        node.cause = None
        return self.generic_visit(node)
