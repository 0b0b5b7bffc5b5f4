"""Routes that ask a model: in our own form, by the Open Inference Protocol, and as callers of MLflow do."""
