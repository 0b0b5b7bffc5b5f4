"""Takes a version out of a service: `from tsuika.export import export_version`. Needs torch, as the service does."""

from service.export import Exported, ProgramDiffers, export_version

__all__ = ["Exported", "ProgramDiffers", "export_version"]
