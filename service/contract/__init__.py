"""Shapes on the wire: pydantic models and enums only. Everything that speaks JSON derives from these."""
