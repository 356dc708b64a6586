"""The command line: one file for each verb, in the order of the data. Nothing heavy is imported before a verb
runs."""
