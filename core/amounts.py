"""Amounts of bytes and of time, in words."""


def of_bytes(n: int | float) -> str:
    """Say a number of bytes in a unit that keeps it short: '12 kB', '4.2 MB', '1.25 GB'."""
    if n >= 1e9:
        return f"{n / 1e9:,.2f} GB"
    if n >= 1e7:
        return f"{n / 1e6:,.0f} MB"
    if n >= 1e5:
        return f"{n / 1e6:.1f} MB"
    return f"{n / 1e3:.0f} kB" if n >= 1e3 else f"{n:.0f} bytes"


def of_seconds(n: int | float) -> str:
    """Say a time: '8 s', or '2 min' from 90 seconds on. The shortest is '1 s'."""
    return f"{max(1, n):.0f} s" if n < 90 else f"{n / 60:,.0f} min"
