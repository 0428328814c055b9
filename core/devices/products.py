"""Float32 products in IEEE float32, whichever flags other libraries set. Imports torch: import lazily."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from core.work.threads import WhileUsed


@contextmanager
def _highest_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


_ieee = WhileUsed(_highest_precision)


def ieee_products() -> AbstractContextManager[None]:
    """Make torch compute float32 products in IEEE float32 inside this block. The last block restores the old setting.

    TF32 and bfloat16 cut operands to 11 and 8 bits. torch has three names for the flag, and reading one of them raises
    an error after another was set. So only this function sets it, and by one name. It holds for the whole process.
    """
    return _ieee.held()
