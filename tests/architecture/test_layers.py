"""Layers import downward only, as specified in docs/architecture.md."""

import ast
import graphlib
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "flowdistill"
# Each layer may import from those before it; `errors` may be imported by all.
LAYERS = [
    "formats", "render", "ops", "data", "check", "networks", "losses", "metrics", "visual", "interop", "labels",
    "training", "evaluation", "submission", "inference", "tracking", "export", "recipes", "cli",
]  # fmt: skip
FORBIDDEN = {
    "data": {"networks"},
    "losses": {"networks"},
    "networks": {"pytorch_lightning"},
    "ops": {"pytorch_lightning"},
    "formats": {"torch"},
    "render": {"torch"},
    "check": {"networks"},
    "labels": {"training"},
    "evaluation": {"training"},
    "submission": {"training"},
}


def imports(path: Path) -> set[str]:
    """Full names of all modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            # `from flowdistill import cli` also imports a layer.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "flowdistill" and len(parts) > 1 else None


def test_every_folder_is_a_known_layer() -> None:
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and any(p.glob("*.py"))}
    assert folders <= set(LAYERS)
    assert len(folders) >= 10


def test_layers_import_downward_only() -> None:
    wrong = []
    checked = 0
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).parts
        if len(parts) < 2:
            continue
        layer = parts[0]
        for module in imports(path):
            other = layer_of(module)
            if other in LAYERS:
                checked += 1
                if LAYERS.index(other) > LAYERS.index(layer):
                    wrong.append(f"{path.relative_to(ROOT)} imports {module}")
            for banned in FORBIDDEN.get(layer, ()):
                if module.split(".")[0] == banned or other == banned:
                    wrong.append(f"{path.relative_to(ROOT)} imports {module}, which {layer}/ never does")
    assert checked > 50
    assert not wrong, "\n".join(wrong)


def test_no_two_modules_import_each_other() -> None:
    """Not even for types: a file must be readable without reading the other one first."""
    modules = {
        ".".join(("flowdistill", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in PACKAGE.rglob("*.py")
    }
    graph = {
        name: {module for module in imports(path) if module in modules} - {name, name.rpartition(".")[0]}
        for name, path in modules.items()
        if path.name != "__init__.py"
    }
    assert sum(map(len, graph.values())) > 300
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_flowkernels_knows_torch_and_triton_only() -> None:
    allowed = {"torch", "triton", "flowkernels"} | set(sys.stdlib_module_names)
    files = list((ROOT / "kernels" / "flowkernels").rglob("*.py"))
    assert len(files) >= 3
    for path in files:
        assert {module.split(".")[0] for module in imports(path)} <= allowed, path


def test_slow_libraries_are_not_imported_at_module_level() -> None:
    """kornia and albumentations take seconds; `lightning fit --help` must not wait for them."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {"kornia", "albumentations", "wandb"}, path
