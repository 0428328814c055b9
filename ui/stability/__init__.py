"""The page Stability: which features return in other dictionaries."""
