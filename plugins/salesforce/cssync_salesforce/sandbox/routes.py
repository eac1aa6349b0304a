"""Which method of the sandbox org answers what: (HTTP method, path behind the version, dotted name)."""

from __future__ import annotations

_NAME = r"([A-Za-z]\w*)"
ROUTES = (
    ("GET", r"/limits", "_limits"),
    ("GET", r"/limits/recordCount", "_counts"),
    ("GET", r"/sobjects", "_describe_all"),
    ("GET", rf"/sobjects/{_NAME}/describe", "_describe"),
    ("GET", r"/query(All)?", "_query"),
    ("GET", r"/query(All)?/(\w+)-(\d+)", "_more"),
    ("POST", rf"/sobjects/{_NAME}", "_single"),
    ("GET", rf"/sobjects/{_NAME}/(\w+)", "_single"),
    ("PATCH", rf"/sobjects/{_NAME}/(\w+)", "_single"),
    ("DELETE", rf"/sobjects/{_NAME}/(\w+)", "_single"),
    ("PATCH", rf"/sobjects/{_NAME}/{_NAME}/([^/]+)", "_single_by_key"),
    ("POST", r"/composite/sobjects", "many.write"),
    ("PATCH", r"/composite/sobjects", "many.write"),
    ("DELETE", r"/composite/sobjects", "many.delete"),
    ("POST", rf"/composite/sobjects/{_NAME}", "many.retrieve"),
    ("PATCH", rf"/composite/sobjects/{_NAME}/{_NAME}", "many.upsert"),
    ("GET", r"/jobs/query", "jobs.listed"),
    ("POST", r"/jobs/query", "jobs.create"),
    ("GET", r"/jobs/query/(\w+)", "jobs.state"),
    ("PATCH", r"/jobs/query/(\w+)", "jobs.abort"),
    ("DELETE", r"/jobs/query/(\w+)", "jobs.delete"),
    ("GET", r"/jobs/query/(\w+)/results", "jobs.results"),
    ("GET", r"/jobs/ingest", "ingest.listed"),
    ("POST", r"/jobs/ingest", "ingest.create"),
    ("GET", r"/jobs/ingest/(\w+)", "ingest.state"),
    ("PATCH", r"/jobs/ingest/(\w+)", "ingest.move"),
    ("DELETE", r"/jobs/ingest/(\w+)", "ingest.delete"),
    ("PUT", r"/jobs/ingest/(\w+)/batches", "ingest.upload"),
    ("GET", r"/jobs/ingest/(\w+)/(successfulResults|failedResults|unprocessed[rR]ecords)", "ingest.results"),
    ("POST", r"/tooling/sobjects/CustomField", "_create_field"),
)
