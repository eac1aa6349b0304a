"""A Salesforce org in memory, for the demo and the tests."""
