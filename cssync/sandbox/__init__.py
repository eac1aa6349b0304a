"""Vendors on localhost, for the demo and for tests: hosts the connectors' own sandbox apps over real HTTP."""
