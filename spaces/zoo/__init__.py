"""A choice of ready-made backbones."""
