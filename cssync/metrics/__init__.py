"""The key figures of customer success: recurring revenue, retention, satisfaction, forecast. No clock, no network.

Every figure is a pure function over rows (`revenue`, `retention`, ...); `portfolio` reads the rows from the store and
`report` puts the figures of a period together. Formulas and their vectors: docs/metrics.md.
"""
