"""Takes a version out of a service: `from tsuika.export import export_version`. Needs torch, as the service does."""

from service.export import Exported, NoOnnx, ProgramDiffers, export_version

__all__ = ["Exported", "NoOnnx", "ProgramDiffers", "export_version"]
