"""What the notebooks ask: one or two modules a question, named in the notebook."""
