"""The page Interventions: what a feature causes, always beside controls."""
