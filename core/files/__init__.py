"""Reading files from outside: tensors, archives, torch saves, fields of configurations."""
