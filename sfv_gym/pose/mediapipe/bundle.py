"""MediaPipe's ``.task`` bundles, made from bare networks.

The Tasks API reads a zip of two TensorFlow Lite networks, and in each of them metadata that says
how to scale the image. The networks of MediaPipe's older packages come without it.
"""

from __future__ import annotations

import io
import zipfile

DETECTOR, LANDMARKER = "pose_detector.tflite", "pose_landmarks_detector.tflite"

_ALIGNMENT = 16  # bytes; TensorFlow Lite maps aligned weights and copies the others
_PADDING_FIELD = 0xD935  # the zip extra field that is meant for alignment
_LOCAL_HEADER = 30  # bytes, before name and extra field


def pose_bundle(detector: bytes, landmarker: bytes) -> bytes:
    """The ``.task`` of two bare networks: a person detector and a landmark network."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, network in (
            (DETECTOR, with_normalization(detector, mean=127.5, std=127.5)),
            (LANDMARKER, with_normalization(landmarker, mean=0.0, std=255.0)),
        ):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            # an extra field has 4 bytes of its own before its content
            start = out.tell() + _LOCAL_HEADER + len(name) + 4
            size = -start % _ALIGNMENT
            entry.extra = (
                _PADDING_FIELD.to_bytes(2, "little") + size.to_bytes(2, "little") + bytes(size)
            )
            archive.writestr(entry, network)
    return out.getvalue()


def is_pose_bundle(data: bytes) -> bool:
    """Whether this is a whole ``.task`` of a pose landmarker: both networks, checksums right."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {DETECTOR, LANDMARKER} <= set(archive.namelist()) and archive.testzip() is None
    except (zipfile.BadZipFile, NotImplementedError, EOFError):
        return False


def with_normalization(network: bytes, mean: float, std: float) -> bytes:
    """A tflite network with the metadata of its input image: RGB, ``(x - mean) / std``."""
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    image = metadata.ImagePropertiesT()
    image.colorSpace = metadata.ColorSpaceType.RGB
    content = metadata.ContentT()
    content.contentPropertiesType = metadata.ContentProperties.ImageProperties
    content.contentProperties = image
    options = metadata.NormalizationOptionsT()
    options.mean, options.std = [mean], [std]
    unit = metadata.ProcessUnitT()
    unit.optionsType = metadata.ProcessUnitOptions.NormalizationOptions
    unit.options = options
    tensor = metadata.TensorMetadataT()
    tensor.name, tensor.content, tensor.processUnits = "image", content, [unit]
    graph = metadata.SubGraphMetadataT()
    graph.inputTensorMetadata = [tensor]
    described = metadata.ModelMetadataT()
    described.subgraphMetadata = [graph]
    builder = flatbuffers.Builder(0)
    builder.Finish(described.Pack(builder), file_identifier=b"M001")

    model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAs(bytearray(network), 0))
    buffer = tflite.BufferT()
    buffer.data = list(bytes(builder.Output()))
    entry = tflite.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [m for m in model.metadata or [] if _text(m.name) != entry.name] + [entry]
    builder = flatbuffers.Builder(len(network))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode()
