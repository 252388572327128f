"""Colour of every sample: of people, and of the scene behind them."""
