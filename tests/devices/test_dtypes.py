"""No number rests on torch's default dtype: libraries that load a model in another one set it for a moment."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOATS = {"zeros", "ones", "empty", "rand", "randn", "eye", "linspace", "full"}
"""Functions of torch that make floats of the default dtype, whatever they are given."""


def without_dtype(tree: ast.AST) -> list[int]:
    """Return the lines of calls that take the default dtype."""
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"):
            continue
        name, said = node.func.attr, {keyword.arg for keyword in node.keywords}
        floats = any(isinstance(part, ast.Constant) and type(part.value) is float for part in ast.walk(node))
        takes_default = name in FLOATS or (name in ("arange", "tensor") and floats)
        of_whole = name in ("cos", "sin", "exp", "log", "sqrt") and any(
            ast.unparse(inner).startswith("torch.arange(") and "dtype" not in ast.unparse(inner) for inner in node.args
        )
        if (takes_default and "dtype" not in said) or of_whole:
            found.append(node.lineno)
    return found


def test_every_float_that_torch_makes_here_names_its_dtype():
    lines = {
        str(path.relative_to(ROOT)): found
        for path in (ROOT / "core").rglob("*.py")
        if (found := without_dtype(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert lines == {}


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ("torch.zeros(3, device=d)", True),
        ("torch.full((n,), -torch.inf)", True),
        ("torch.arange(1.0, n)", True),
        ("torch.cos(torch.arange(n))", True),
        ("torch.zeros(3, dtype=x.dtype)", False),
        ("torch.arange(n)", False),
        ("torch.tensor([1, 2])", False),
        ("x.new_zeros(3)", False),
    ],
)
def test_the_search_knows_a_default_when_it_sees_one(code, bad):
    assert bool(without_dtype(ast.parse(code))) == bad
