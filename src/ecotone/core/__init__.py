"""What every room stands on: readings, steps, seeds, records, errors, registries.

Nothing here imports torch when it is imported, so the command line starts at once.
"""

from ecotone.core.errors import ConfigError, DataError, EcotoneError, RecordError
from ecotone.core.readings import Reading
from ecotone.core.steps import Step

__all__ = ["ConfigError", "DataError", "EcotoneError", "Reading", "RecordError", "Step"]
