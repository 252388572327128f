"""Recipes: everything that decides a training, by name or from a JSON file."""

from personsearch.training.recipes.catalogue import load_recipe

__all__ = ["load_recipe"]
