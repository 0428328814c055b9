"""Only core/devices names a device, asks which one there is, or sets torch's global flags."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = re.compile(r"(cuda|mps)(:\d+)?")
OF_TORCH = {"cuda", "mps", "backends", "set_float32_matmul_precision", "use_deterministic_algorithms"}


def named_devices(tree: ast.AST) -> list[int]:
    """Return lines that name a card, compare with the CPU's name, or use torch's parts for devices and flags.

    Libraries may be told to build something on the CPU.
    """
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAMES.fullmatch(node.value):
            found.append(node.lineno)
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            found += [node.lineno for side in sides if isinstance(side, ast.Constant) and side.value == "cpu"]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
            found += [node.lineno] * (node.attr in OF_TORCH)
    return found


def test_no_other_module_names_a_device():
    files = [path for top in ("core", "ui", "pages", "sae_loupe") for path in (ROOT / top).rglob("*.py")]
    lines = {
        str(path.relative_to(ROOT)): found
        for path in files
        if path.parent != ROOT / "core" / "devices"
        and (found := named_devices(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert lines == {}


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ('x.to("cuda:0")', True),
        ('kind == "cpu"', True),
        ("torch.cuda.empty_cache()", True),
        ("torch.backends.cudnn.allow_tf32 = True", True),
        ('build(device="cpu")', False),
        ("torch.OutOfMemoryError", False),
    ],
)
def test_the_search_knows_a_device_when_it_sees_one(code, bad):
    assert bool(named_devices(ast.parse(code))) == bad
