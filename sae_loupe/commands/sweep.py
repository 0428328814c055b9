"""Do many analyses of many dictionaries, here or on a cluster: plan, run, status, resume."""

from collections.abc import Sequence

from core.sweeps import __main__ as sweeps


def main(arguments: Sequence[str]) -> int:
    """Run `sae-loupe sweep plan sweep.toml` and the like; see core.sweeps.__main__."""
    return sweeps.main(arguments, prog="sae-loupe sweep")
