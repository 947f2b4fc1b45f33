"""What it costs: measured, never guessed. `python -m bench` prints the tables that the documents quote."""
