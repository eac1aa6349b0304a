"""Rule packs: read, check, compile, evaluate, explain."""

from cssync.rules.loading import load, load_folders
from cssync.rules.tree import RuleSet

__all__ = ["RuleSet", "load", "load_folders"]
