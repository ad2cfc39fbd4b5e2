"""A program of its own: JVM Spark with Delta Lake reads tables by their folders and writes their rows as Parquet.

    python spark_reads.py JARS OUT FOLDER VERSION WHERE [FOLDER VERSION WHERE ...]

JARS are those of Delta Lake, with commas; OUT gets a folder for each, by number. An empty VERSION is the newest.
"""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession


def main(jars: str, out: str, *wanted: str) -> None:
    settings = {
        "spark.jars": jars,
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.ui.enabled": "false",
        "spark.databricks.delta.snapshotPartitions": "1",
    }
    builder = SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    for number, (folder, version, where) in enumerate(zip(wanted[::3], wanted[1::3], wanted[2::3], strict=True)):
        reader = session.read.format("delta")
        rows = (reader.option("versionAsOf", version) if version else reader).load(folder)
        (rows.where(where) if where else rows).coalesce(1).write.parquet(f"{out}/{number}")
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
