"""What measures: each module prints figures, as JSON lines or a table; `make bench` runs the families of rows."""
