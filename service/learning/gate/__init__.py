"""The judge: measurements in, verdict out."""
