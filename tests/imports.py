"""Which of the project's modules a script imports, directly or not, read from the source."""

import ast
from pathlib import Path


def imported_modules(script: Path, root: Path) -> set[str]:
    """Paths, relative to `root`, of the project's modules that `script` imports, itself included."""
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
