"""What the models are worth: one script per table. See README.md in this folder."""
