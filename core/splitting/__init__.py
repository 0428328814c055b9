"""How features of a narrow dictionary split in wider ones."""
