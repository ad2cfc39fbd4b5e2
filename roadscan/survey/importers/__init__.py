"""Importers: images and GPS as they come from the field, made into a survey drive."""

from roadscan.survey.importers.config import CameraConfig, IngestConfig, ingest_config
from roadscan.survey.importers.ingest import Imported, IngestSummary, ingest, read_frames

__all__ = ["CameraConfig", "Imported", "IngestConfig", "IngestSummary", "ingest", "ingest_config", "read_frames"]
