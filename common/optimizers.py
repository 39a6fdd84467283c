"""Names of optimizers: those that train networks, and those that a space may offer to a search."""

OPTIMIZERS = ("sgd", "adam", "rmsprop", "muon")  # the order in which a search numbers them
