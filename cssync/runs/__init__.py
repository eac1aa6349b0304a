"""A run: one lease, one record, the stages in order (`run.py`).

Nothing is imported here: `status` needs the lease's reader and not the whole pipeline.
"""
