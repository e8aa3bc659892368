"""One file per analyzer. The registry finds them by walking this folder."""
