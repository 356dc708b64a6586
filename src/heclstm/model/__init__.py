"""SEQUENCE → SCORE in the clear: configuration, weights, reference (NumPy only), network, training (torch)."""
