"""No code is executed from files that are read, and no part of a config is passed to a shell."""

import ast
from pathlib import Path

import pytest

from flowdistill.data import read_split
from flowdistill.data.splits import parse_line
from flowdistill.errors import UserError

ROOT = Path(__file__).parents[2]
SOURCES = [
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "kernels").rglob("*.py"),
    *(ROOT / "benchmarks").rglob("*.py"),
]


def name_of(call: ast.Call) -> str:
    """The dotted name of a call, such as torch.load."""
    parts: list[str] = []
    node: ast.expr = call.func
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    # A call on an expression is a method call, whatever its name.
    return ".".join([node.id if isinstance(node, ast.Name) else "()", *reversed(parts)])


def is_constant(call: ast.Call, keyword: str, value: object) -> bool:
    return any(
        each.arg == keyword and isinstance(each.value, ast.Constant) and each.value.value is value
        for each in call.keywords
    )


def dangers(call: ast.Call) -> str | None:
    name = name_of(call)
    last = name.rpartition(".")[2]
    if name in (
        "eval",
        "exec",
        "compile",
        "os.system",
        "os.popen",
        "pickle.load",
        "pickle.loads",
        "marshal.loads",
    ):
        return name
    if name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load") or last in (
        "getoutput",
        "getstatusoutput",
    ):
        return name
    if name in ("torch.load", "np.load", "numpy.load"):
        safe = is_constant(call, "weights_only", True) if name == "torch.load" else not any(
            is_constant(call, "allow_pickle", value) for value in (True,)
        )  # fmt: skip
        return None if safe else name
    if any(each.arg == "shell" and not (isinstance(each.value, ast.Constant) and each.value.value is False)
           for each in call.keywords):  # fmt: skip
        return f"{name}(shell=...)"
    return None


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ("eval(x)", True), ("torch.load(p)", True), ("torch.load(p, weights_only=False)", True),
        ("torch.load(p, weights_only=True)", False), ("subprocess.run(c, shell=True)", True),
        ("subprocess.run(c)", False), ("np.load(p, allow_pickle=True)", True), ("np.load(p)", False),
        ("pickle.load(f)", True), ("network.eval()", False), ("network.compile()", False),
    ],
)  # fmt: skip
def test_the_check_sees_what_it_is_for(code: str, bad: bool) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert (dangers(call) is not None) == bad


def test_no_source_runs_code_from_files() -> None:
    assert len(SOURCES) > 300
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {danger}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and (danger := dangers(node)) is not None
    ]
    assert found == []


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a\\..\\x", "C:\\x", "\\\\host\\x"])
def test_names_in_splits_stay_in_the_data_folder(name: str, tmp_path: Path) -> None:
    for words in ([name], ["000000_10", f"labels={name}"]):
        with pytest.raises(UserError, match="points outside the data folder"):
            parse_line(words)
    split = tmp_path / "split.txt"
    split.write_text(f"000000_10\n000001_10 labels={name}\n")
    with pytest.raises(UserError, match=r"split.txt, line 2: .* points outside the data folder"):
        read_split(split)


def test_names_with_dots_are_names() -> None:
    assert parse_line(["a..b/c.d", "labels=..x/y.."]).labels == "..x/y.."
