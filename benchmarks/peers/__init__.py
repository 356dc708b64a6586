"""The same networks by heclstm, Orion and TenSEAL: see `__main__`."""
