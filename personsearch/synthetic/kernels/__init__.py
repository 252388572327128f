"""Drawing without people or places: compiled functions, a z-buffer, cloth patterns and noise."""
