"""The bundled model: a small detector and a small crop network."""
