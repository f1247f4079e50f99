"""Studies: many runs over chosen factors, resumable, in one tidy table."""

from ecotone.studies.design import Cell, StudyDesign, load_design, preset_names
from ecotone.studies.events import Event
from ecotone.studies.run import execute_run
from ecotone.studies.run_config import RunConfig
from ecotone.studies.runner import default_workers, run_study
from ecotone.studies.store import StudyFolder, measuring_share

__all__ = [
    "Cell",
    "Event",
    "RunConfig",
    "StudyDesign",
    "StudyFolder",
    "default_workers",
    "execute_run",
    "load_design",
    "measuring_share",
    "preset_names",
    "run_study",
]
