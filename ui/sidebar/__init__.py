"""Widgets that pages share: pickers, the finder of dictionaries, downloads, text, token sets."""
