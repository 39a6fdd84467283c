"""Find a better network, and train it: the library. ``import retiarius as rt``."""
