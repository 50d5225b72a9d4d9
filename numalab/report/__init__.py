"""What a reader sees: figures, tables, mails, and the pages of a report."""
