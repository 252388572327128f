"""Training: synthetic people, losses, recipes and the trainer; inference never imports it."""
