"""Engines: models of one kind each, behind a method of that kind. Importing one loads no model library."""
