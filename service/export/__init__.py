"""A version leaves the service: its weights, a program that runs without us, and a card that says what it is."""

from service.export.folder import Exported, ProgramDiffers, export_version
from service.export.onnx_file import NoOnnx

__all__ = ["Exported", "NoOnnx", "ProgramDiffers", "export_version"]
