"""Rules that compare tracks of several analyzers, for cross_analyzer_intelligence: one module a kind of comparison."""
