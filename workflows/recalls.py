"""Which versions in use came about with a data set: asked when that data set is recalled."""

from __future__ import annotations

from core.errors import NotFound
from core.sql import fetch
from registry.models import LineageNode, ModelVersion, NodeKind

# Versions that stand somewhere now, or will again when an emergency ends, downstream of some data sets.
_MADE_WITH = """WITH RECURSIVE reach(node) AS (
    SELECT id FROM registry_lineagenode WHERE kind = 'dataset' AND (key IN (%s, %s) OR label = %s)
    UNION
    SELECT e.target_id FROM reach JOIN registry_lineageedge e ON e.source_id = reach.node
     WHERE e.valid_to IS NULL AND e.kind IN ('used', 'produced', 'registered_as', 'evaluated_on')
) SELECT v.id FROM reach
    JOIN registry_lineagenode n ON n.id = reach.node AND n.kind = 'model_version'
    JOIN registry_modelversion v ON n.key = 'model_version:' || v.model_id || '/' || v.number
   WHERE v.deleted_at IS NULL AND (
         EXISTS (SELECT 1 FROM registry_stageassignment s JOIN registry_stage t ON t.name = s.stage_id
                  WHERE s.version_id = v.id AND s.valid_to IS NULL AND NOT t.is_initial)
      OR EXISTS (SELECT 1 FROM registry_aliasassignment a WHERE a.version_id = v.id AND a.valid_to IS NULL)
      OR EXISTS (SELECT 1 FROM workflows_breakglass b WHERE b.model_id = v.model_id AND b.state = 'in_force'))
   ORDER BY v.id"""


def versions_made_with(dataset: str) -> list[ModelVersion]:
    """Return the versions that stand in a stage or alias and were trained or measured on a data set; the walk is one statement.

    dataset: ``name@v2`` for registered data, else the key of a lineage node, or name and digest as runs logged them, parted by a
    space. Raises NotFound for data that no lineage knows.
    """
    keys = (dataset, f"{NodeKind.DATASET.value}:{dataset}")
    ids = [row[0] for row in fetch(_MADE_WITH, [*keys, dataset])]
    nodes = LineageNode.objects.filter(kind=NodeKind.DATASET)
    if not ids and not nodes.filter(key__in=keys).exists() and not nodes.filter(label=dataset).exists():
        raise NotFound(
            f"No lineage knows the data set {dataset!r}: write `name@v2`, or name and digest as a run logged them, as in `train 1a2b3c`."
        )
    return list(ModelVersion.objects.filter(pk__in=ids).select_related("model").order_by("pk"))
