"""HubSpot in memory: a stateful stand-in for the demo and the tests, as strict as the real one where it matters."""

from cssync_hubspot.sandbox.app import SandboxHubSpot

__all__ = ["SandboxHubSpot"]
