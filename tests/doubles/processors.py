"""Run a module of numbers as other processors would; OpenBLAS has the matrix products of each."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KERNELS = ("Haswell", "Sandybridge", "Prescott", "SkylakeX")
"""Of processors with AVX2, with AVX, with neither, with AVX-512."""


def has_avx512() -> bool:
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def by_kernel(module: str) -> dict[str, dict]:
    """Return the JSON that a module of tests.doubles prints, under each kernel that runs here."""
    running = {}
    for kernel in KERNELS if has_avx512() else KERNELS[:-1]:
        env = os.environ | {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": "2"}
        command = [sys.executable, "-m", f"tests.doubles.{module}"]
        running[kernel] = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE)
    found = {kernel: json.loads(process.communicate()[0]) for kernel, process in running.items()}
    assert not any(process.returncode for process in running.values())
    return found
