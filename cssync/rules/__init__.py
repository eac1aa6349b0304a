"""Rule packs: read, check, test, compile, evaluate, explain.

file -> nodes with positions (`reader`) -> syntax (`grammar`) -> typed tree (`check`, `features`, `packs`, `tree`)
-> one SELECT per pack (`compiler`, `sources`, `facts`, `emitter`, `dialect`) -> differences (`evaluate`, `results`,
`signals`, `tasks`). `interpreter` is the reference that the SQL must equal.
"""

from cssync.rules.evaluate import EvaluationReport, evaluate
from cssync.rules.explain import Explanation, explain
from cssync.rules.loading import load, load_folders
from cssync.rules.tree import RuleSet
from cssync.rules.written import WrittenField, written_fields

__all__ = [
    "EvaluationReport",
    "Explanation",
    "RuleSet",
    "WrittenField",
    "evaluate",
    "explain",
    "load",
    "load_folders",
    "written_fields",
]
