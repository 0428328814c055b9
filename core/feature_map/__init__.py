"""Maps of a dictionary in two dimensions: layouts, clusters, several layers on one map."""
