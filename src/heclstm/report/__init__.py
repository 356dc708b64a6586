"""RESULT → something to look at."""
