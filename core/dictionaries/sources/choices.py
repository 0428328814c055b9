"""The id of a dictionary with one of its choices made: another layer, target, side or level of the same files."""

from core.dictionaries.sources.folder import SETTINGS
from core.workspace import split_tail


def with_setting(id: str, name: str, value: str) -> str:
    """Return an id whose files are looked at in another way; an empty value leaves a setting out.

    A layer that writes to later ones alone drops an earlier target; a level and a number of features exclude each
    other.
    """
    path, tail = split_tail(id)
    settings = dict(pair.split("=", 1) for pair in tail.split("&")) if tail else {}
    settings |= {name: value}
    if name == "layer" and value and int(settings.get("target") or value) < int(value):
        del settings["target"]
    if name == "features":
        settings.pop("level", None)
    kept = [f"{known}={settings[known]}" for known in SETTINGS if settings.get(known)]
    return path + (f"#{'&'.join(kept)}" if kept else "")
