"""How one picture gives way to another: cuts, fades, dissolves."""
