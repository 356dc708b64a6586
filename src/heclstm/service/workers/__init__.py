"""Processes that evaluate: started fresh (never forked), spoken to over their standard input and output."""
