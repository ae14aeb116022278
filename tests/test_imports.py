"""The house keeps its shape: imports run one way, and what is light stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the street to the cellar: a room may use the rooms below it and the leaves, never one above it. Leaves use
# nothing but themselves and the table of tasks, which is where the tasks get their names.
ROOMS = ("app", "ui", "engine", "backends", "dialects", "results", "model")
LEAVES = ("tasks", "images", "detections", "routing", "scenes", "memory")
# Modules that are part of a room although they are files of their own.
PART_OF = {
    "generation": "engine",
    "line": "engine",
    "request": "engine",
    "scheduler": "engine",
    "boxes": "detections",
    "loose_json": "detections",
}


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


APP = sources("vlm_demo") + [path for path in [ROOT / "app.py"] if path.exists()]


def imports(path: Path) -> Iterator[str]:
    """The full dotted names that a file imports anywhere in it: `from a import b` gives a.b."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def room(dotted: str) -> str | None:
    """The room that a dotted name belongs to; None outside vlm_demo, and for the package itself."""
    parts = dotted.split(".")
    if parts[0] == "app":
        return "app"
    return PART_OF.get(parts[1], parts[1]) if parts[0] == "vlm_demo" and len(parts) > 1 else None


def name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", APP, ids=name)
def test_imports_run_one_way(path):
    here = room(name(path))
    assert here is None or here in ROOMS + LEAVES, f"say in this test which room {name(path)} belongs to"
    for imported in imports(path):
        assert imported.split(".")[0] not in ("train", "benchmarks", "tests"), imported
        there = room(imported)
        if there is None or there == here or there.startswith("__"):
            continue
        assert here != "model", f"the model goes to the Hub alone: it may not use {imported}"
        assert here in ROOMS or there == "tasks", f"{here} is a leaf: it may not use {imported}"
        if here in LEAVES:
            continue
        assert there in LEAVES or ROOMS.index(there) > ROOMS.index(here), f"{here} may not use {imported}"


def test_only_the_page_imports_gradio():
    """Benchmarks may use gradio's client: they measure the page from outside."""
    for path in APP + sources("train", "benchmarks"):
        if room(name(path)) not in ("ui", "app"):
            barred = ("gradio",) if path.parent.name == "benchmarks" else ("gradio", "gradio_client")
            assert not [item for item in imports(path) if item.split(".")[0] in barred], path


def test_the_model_imports_only_transformers_and_what_it_brings():
    for path in sources("vlm_demo/model"):
        tops = {item.split(".")[0] for item in imports(path) if room(item) != "model"}
        assert tops <= {"torch", "transformers", "tokenizers", "huggingface_hub"} | sys.stdlib_module_names, path


def heavy_after(statement: str) -> set[str]:
    """Which of the slow libraries a fresh interpreter has loaded after `statement`."""
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {"torch", "transformers", "gradio", "supervision"} & set(done.stdout.split())


def test_importing_the_package_is_light():
    assert heavy_after("import vlm_demo") == set()


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_need_neither_torch_nor_gradio(leaf):
    assert heavy_after(f"import vlm_demo.{leaf}") <= {"supervision"}
