"""The model inside the package: a small detector and a small crop network."""
