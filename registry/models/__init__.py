"""What exists: models and versions, where they stand, data sets, and how all of it came about."""

from registry.models.catalog import (
    ModelGroupPermission,
    ModelUserPermission,
    ModelVersion,
    ModelVersionFile,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
    RiskTier,
    VersionStatus,
)
from registry.models.datasets import ContractReport, DataContract, Dataset, DatasetVersion
from registry.models.lineage import EdgeKind, LineageEdge, LineageNode, NodeKind
from registry.models.places import AliasAssignment, Stage, StageAssignment, StageTransition

__all__ = [
    "AliasAssignment",
    "ContractReport",
    "DataContract",
    "Dataset",
    "DatasetVersion",
    "EdgeKind",
    "LineageEdge",
    "LineageNode",
    "ModelGroupPermission",
    "ModelUserPermission",
    "ModelVersion",
    "ModelVersionFile",
    "ModelVersionTag",
    "NodeKind",
    "RegisteredModel",
    "RegisteredModelTag",
    "RiskTier",
    "Stage",
    "StageAssignment",
    "StageTransition",
    "VersionStatus",
]
