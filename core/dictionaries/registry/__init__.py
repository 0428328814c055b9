"""The registry of pretrained dictionaries that sae-lens ships."""
