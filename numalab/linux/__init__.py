"""The scan rule's C, mirrored by file, function and field name."""
