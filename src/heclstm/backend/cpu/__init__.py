"""The CPU backend: ciphertexts and keys in the native engine of `native/`."""
