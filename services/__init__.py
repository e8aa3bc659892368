"""What people and programs use: the command line, the broker it brings along, reports."""
