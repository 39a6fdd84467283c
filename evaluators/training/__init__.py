"""Recipes, and the loops that train one network or a supernet."""
