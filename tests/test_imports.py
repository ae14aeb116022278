"""The house keeps its shape: imports run one way, and what is light stays light. All is read from the tree itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the street to the cellar; a room uses rooms below it. What stands in neither row is a leaf, below all of them.
ROOMS = ("benchmarks", "train", "app", "ui", "engine", "backends", "runners", "dialects", "model")
FILES = [ROOT / "app.py", *(path for top in ("vlm_demo", "train", "benchmarks") for path in (ROOT / top).rglob("*.py"))]


def name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name(path): path for path in FILES}


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


def module(dotted: str) -> str | None:
    """The module of ours in which an imported name stands, None for what is not ours."""
    return dotted if dotted in MODULES else module(dotted.rpartition(".")[0]) if "." in dotted else None


USES = {here: {there for item in imports(path) if (there := module(item))} - {here} for here, path in MODULES.items()}


def part(dotted: str) -> str:
    """The package or module right below `vlm_demo`, `train` or `benchmarks` in which a module stands."""
    return ".".join(dotted.split(".")[:2])


def room(dotted: str) -> str:
    """The name of a room, or of a leaf."""
    top, *rest = dotted.split(".")
    return rest[0] if top == "vlm_demo" and rest else top


@pytest.mark.parametrize("here", MODULES)
def test_imports_run_one_way(here):
    for there in USES[here]:
        if "vlm_demo" in (here, there) or room(here) == room(there):
            continue
        if room(here) in ROOMS:
            down = room(there) not in ROOMS or ROOMS.index(room(here)) < ROOMS.index(room(there))
            assert down, f"{here} may not use {there}, which stands above it"
        else:
            assert room(there) not in ROOMS, f"{here} is a leaf: it may use other leaves only, not {there}"


@pytest.mark.parametrize("size", [part, str], ids=["packages", "modules"])
def test_nothing_goes_in_circles(size):
    graph: dict[str, set[str]] = {}
    for here, used in USES.items():
        graph.setdefault(size(here), set()).update({size(there) for there in used} - {size(here)})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def test_only_the_page_imports_gradio():
    """Benchmarks may use gradio's client: they measure the page from outside."""
    for here, path in MODULES.items():
        if room(here) not in ("ui", "app"):
            barred = {"gradio"} if room(here) == "benchmarks" else {"gradio", "gradio_client"}
            assert not barred & {item.split(".")[0] for item in imports(path)}, here


def test_one_file_alone_reaches_into_gradio():
    for here in (here for here in MODULES if room(here) == "ui" and here != "vlm_demo.ui.gradio_private"):
        inside = {item for item in imports(MODULES[here]) if item.startswith("gradio.")}
        assert all(item.startswith("gradio.themes.") for item in inside), f"{here}: use gradio_private instead"


def test_the_model_goes_to_the_hub_alone():
    """It imports nothing but transformers, what that brings, and its own files."""
    allowed = {"torch", "transformers", "tokenizers", "huggingface_hub"} | sys.stdlib_module_names
    for here in (here for here in MODULES if room(here) == "model"):
        others = {item for item in imports(MODULES[here]) if not item.startswith("vlm_demo.model.")}
        assert {item.split(".")[0] for item in others} <= allowed, here


def heavy_after(statement: str) -> set[str]:
    """Which of the slow libraries a fresh interpreter has loaded after `statement`."""
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {"torch", "transformers", "gradio", "supervision"} & set(done.stdout.split())


def test_the_leaves_and_the_engine_are_light():
    light = sorted({part(here) for here in MODULES if here.startswith("vlm_demo.") and room(here) not in ROOMS})
    assert heavy_after(f"import {', '.join(light)}, vlm_demo.engine") == set()


def test_tests_share_by_helpers_and_not_by_each_other():
    for path in (ROOT / "tests").rglob("test_*.py"):
        shared = {part for item in imports(path) for part in item.split(".") if part.startswith("test_")}
        assert not {name for name in shared if list((ROOT / "tests").rglob(f"{name}.py"))}, path.name
