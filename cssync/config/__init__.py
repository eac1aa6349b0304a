"""cssync.yaml -> a Workspace."""

from cssync.config.workspace import Connection, Limits, Workspace, Writeback

__all__ = ["Connection", "Limits", "Workspace", "Writeback"]
