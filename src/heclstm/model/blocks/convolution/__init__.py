"""Convolution → polynomial activation → (pooling)."""
