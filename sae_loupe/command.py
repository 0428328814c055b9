"""The console command: `sae-loupe [PATH ...] [--page NAME] ...` opens the app, `sae-loupe match ...` runs a subcommand.

The words that say what to look at are those of `streamlit run app.py -- ...`, read by the same parser. Options with a
dot in their name, such as --server.baseUrlPath, are Streamlit's own and go to it.
"""

import argparse
import sys
from collections.abc import Sequence

from core.errors import LoupeError
from core.installation import APP, APP_VERSION
from core.workspace import argument_parser, check_arguments
from sae_loupe import commands


def main(words: Sequence[str] | None = None) -> int:
    """Run what the words ask for; by default those of the command line. Return the exit code."""
    words = list(sys.argv[1:] if words is None else words)
    if words and words[0] in commands.names():
        return commands.command(words[0])(words[1:])
    theirs, ours = streamlit_options(words)
    served, ours = _serving().parse_known_args(ours)
    options = _parser().parse_intermixed_args(ours)
    try:
        check_arguments(options)
    except LoupeError as error:
        print(f"sae-loupe: {error}", file=sys.stderr)
        return 2
    theirs += ["--server.port", str(served.port)] if served.port is not None else []
    theirs += ["--server.address", served.host] if served.host is not None else []
    return serve(theirs, ours)


def streamlit_options(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the options whose names have a dot, with their values, from all other words."""
    theirs, ours, words = [], [], list(words)
    while words:
        word = words.pop(0)
        name, equals, _ = word.partition("=")
        if not (name.startswith("--") and "." in name):
            ours.append(word)
            continue
        theirs.append(word)
        if not equals and words:
            theirs.append(words.pop(0))
    return theirs, ours


def serve(theirs: Sequence[str], ours: Sequence[str]) -> int:
    """Start Streamlit in this process with options of its own and with the app's words; return when it has ended."""
    from streamlit.web.cli import main as streamlit

    words = ["run", str(APP), *theirs, "--", *ours]
    # Streamlit reads the words that follow -- from its own command line, and quotes the whole of it.
    sys.argv = ["streamlit", *words]
    try:
        streamlit(words, prog_name="streamlit")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0


def _serving() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--port", type=int, help="port to listen on (default: 8501, or the next that is free)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1, which this machine alone reaches)")
    return parser


def _parser() -> argparse.ArgumentParser:
    found = "\n".join(f"  {name:10} {commands.title(name)}" for name in commands.names())
    parser = argparse.ArgumentParser(
        prog="sae-loupe",
        description="Look at sparse autoencoders (SAEs) in the browser.",
        epilog=f"subcommands (sae-loupe NAME --help says more; a folder of that name is ./NAME):\n{found}\n\n"
        "Options with a dot in their name, such as --server.headless true, go to Streamlit.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        parents=[argument_parser(), _serving()],
    )
    parser.add_argument("--version", action="version", version=f"SAE Loupe {APP_VERSION}")
    return parser
