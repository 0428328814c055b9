"""`python -m sae_loupe` is `sae-loupe`."""

from sae_loupe.command import main

if __name__ == "__main__":
    raise SystemExit(main())
