"""The result as an NWB file: maps are a plane segmentation, time courses a ROI response series."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
from hdmf.backends.hdf5 import H5DataIO
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import ProcessingModule
from pynwb.ophys import DfOverF, ImageSegmentation, OpticalChannel, PlaneSegmentation
from result import Result

UNKNOWN = "unknown"


def write_nwb(path: Path, result: Result) -> None:
    """What a recording's U and V do not tell (when, which animal, which indicator) is written as unknown.

    Without a sampling rate the series has one frame per second, and says so.
    """
    file = NWBFile(
        session_description=f"LocaNMF components of a widefield recording in the regions of {result.atlas.name}",
        identifier=identifier(result),
        session_start_time=datetime(1970, 1, 1, tzinfo=UTC),
        notes="The start of the session is not known: 1970-01-01 stands for it.",
        source_script="analyses/locanmf of NeuroCAAS",
        source_script_file_name="workflow.py",
    )
    module = file.create_processing_module("ophys", "Localized semi-NMF, doi:10.1371/journal.pcbi.1007791")
    maps = _segmentation(file, module, result)
    rois = maps.create_roi_table_region("all components", region=list(range(result.count)))
    rate = result.sampling_rate_hz
    fluorescence = DfOverF(name="DfOverF")
    module.add(fluorescence)
    fluorescence.create_roi_response_series(
        name="C",
        data=H5DataIO(result.courses.T.astype("float32"), compression="gzip"),
        rois=rois,
        unit="recording's unit, as a rule dF/F",
        rate=rate or 1.0,
        starting_time=0.0,
        description="Signal of each component at the peak of its map"
        + ("" if rate else "; the sampling rate is not known, so that one second is one frame"),
    )
    with NWBHDF5IO(path, "w") as io:
        io.write(file)


def identifier(result: Result) -> str:
    """Of the content: NWB wants one that no other file has, and the same result is to give the same one."""
    digest = sha256(np.ascontiguousarray(result.maps))
    digest.update(np.ascontiguousarray(result.courses))
    return f"locanmf-{digest.hexdigest()}"


def _segmentation(file: NWBFile, module: ProcessingModule, result: Result) -> PlaneSegmentation:
    plane = file.create_imaging_plane(
        name="dorsal cortex",
        optical_channel=OpticalChannel(name="signal", description=UNKNOWN, emission_lambda=float("nan")),
        description="Widefield view of the dorsal cortex",
        device=file.create_device(name="widefield microscope"),
        excitation_lambda=float("nan"),
        indicator=UNKNOWN,
        location="dorsal cortex",
    )
    segmentation = ImageSegmentation(name="ImageSegmentation")
    module.add(segmentation)
    maps = segmentation.create_plane_segmentation(
        name="A", description="Map of each component, weights of 0 to 1", imaging_plane=plane
    )
    for name, description in (
        ("region", "Acronym of the component's region in the atlas"),
        ("side", "Hemisphere: left or right"),
        ("localization", "Percent of the map's energy inside the region"),
        ("lambda", "Penalty on weight outside the region"),
        ("explained_variance", "Variance of the component's own movie, relative to the recording's"),
    ):
        maps.add_column(name=name, description=description)
    for k, index in enumerate(result.region):
        maps.add_roi(
            image_mask=result.image(k),
            region=result.regions[index].acronym,
            side=result.regions[index].side,
            localization=float(result.localization[k]),
            explained_variance=float(result.explained[k]),
            **{"lambda": float(result.penalty[k])},
        )
    return maps
