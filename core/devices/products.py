"""Float32 products in IEEE float32, whichever flags other libraries set. Imports torch: import lazily."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from core.work.threads import WhileUsed


@contextmanager
def _highest_precision() -> Iterator[None]:
    before, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn
    operators = cudnn.conv, cudnn.rnn
    theirs = [operator.fp32_precision for operator in operators]
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False  # the name that libraries read; while the operators differ, reading it is an error
    for operator in operators:
        if operator.fp32_precision != "none":  # "none": as torch.backends.fp32_precision says
            operator.fp32_precision = "ieee"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        for operator, precision in zip(operators, theirs, strict=True):
            operator.fp32_precision = precision


_ieee = WhileUsed(_highest_precision)


def ieee_products() -> AbstractContextManager[None]:
    """Make torch compute float32 products in IEEE float32 inside this block. The last block restores the old setting.

    TF32 and bfloat16 cut operands to 11 and 8 bits. torch has three names for the flag, and reading one of them raises
    an error after another was set. So only this function sets it, and by one name. Convolutions have a flag of their
    own, which torch sets to TF32. Both hold for the whole process.
    """
    return _ieee.held()
