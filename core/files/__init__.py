"""Reading files of strangers: tensors, archives, torch saves, fields of configurations."""
