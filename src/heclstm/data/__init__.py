"""IMAGES → SEQUENCE: reading, preparing, and the data sets that models are trained on."""
