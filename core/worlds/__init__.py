"""Dictionaries whose truth is known, beside what the pages say of them."""
