"""Programs of somebody who uses a Tsuika service."""
