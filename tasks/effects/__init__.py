"""Signs of editing in pictures: one module a kind of evidence, pure functions on signals."""
