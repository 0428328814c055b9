"""Many analyses of many dictionaries: planned as data, run anywhere, stored where the pages read them."""
