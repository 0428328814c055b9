"""A dictionary laid out in two dimensions: layouts, clusters, layers stacked on one map."""
