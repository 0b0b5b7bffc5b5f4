"""Content types of bodies."""

from __future__ import annotations

JSON = "application/json"
RAW, NPY, PNG, JPEG = "application/octet-stream", "application/x-npy", "image/png", "image/jpeg"
CSV = "text/csv"
ROWS = (RAW, NPY, PNG, JPEG)
"""Content types of a prediction whose body is rows without JSON around them."""
