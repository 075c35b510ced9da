"""What a photo's file holds and an edited one will not: each part's name, for people."""

from collections.abc import Container, Iterable

from PIL import ImageFile, JpegImagePlugin

from faceedit.media import boxes, deep, exif, jpeg, metadata, png

TIFF_PARTS = {exif.LAYERS: "its Photoshop layers", exif.CREDENTIALS: jpeg.CREDENTIALS}
PIECES = {b"caBX": jpeg.CREDENTIALS, b"C2PA": jpeg.CREDENTIALS, b"mpvd": metadata.VIDEO}


def lost_parts(file: ImageFile.ImageFile, data: bytes) -> list[str]:
    """The names of further parts of a file that an edited one does not have."""
    if isinstance(file, JpegImagePlugin.JpegImageFile):
        return jpeg.gone(data)
    if file.format == "TIFF":
        return [name for tag, name in TIFF_PARTS.items() if tag in getattr(file, "tag_v2", {})]
    if file.format == "PNG":
        return _named_pieces((kind for kind, _ in png.chunks(data)), png.CHUNKS, "chunk")
    if file.format == "WEBP":
        return _named_pieces(boxes.riff_kinds(data), boxes.WEBP_CHUNKS, "chunk")
    found = []
    if file.format == "AVIF":
        kinds = boxes.auxiliaries(data)
        found += ["its depth map"] if any("depth" in kind for kind in kinds) else []
        found += ["its further layers"] if any("depth" not in kind and "gainmap" not in kind for kind in kinds) else []
        properties = [kind for kind, _ in boxes.picture_properties(data)]
        found += ["its crop (clean aperture): all of it is there"] if b"clap" in properties else []
    if file.format in ("HEIF", "AVIF"):
        found += [jpeg.CREDENTIALS] if boxes.has_box(data, b"uuid", boxes.CREDENTIALS) else []
        found += _named_pieces(boxes.other_boxes(data), (), "box")
    if file.format == "HEIF":
        found += [jpeg.PICTURES] if getattr(file, "n_frames", 1) > 1 else []
        found += ["its depth map"] if file.info.get("depth_images") else []
        kinds = [str(kind).lower() for kind in file.info.get("aux", ())]
        found += [metadata.GAIN_MAP] if any("gainmap" in kind for kind in kinds) else []
        found += ["its further layers"] if any("gainmap" not in kind for kind in kinds) else []
    if file.format in ("HEIF", "AVIF") and boxes.has_item(data, b"tmap"):
        found.append(metadata.GAIN_MAP)
    return found


def _named_pieces(kinds: Iterable[bytes], known: Container[bytes], what: str) -> list[str]:
    """The names of the pieces of a file that are not known to have to do with its picture."""
    names = {kind: PIECES.get(kind, f"its {what} {kind.decode('latin-1')}") for kind in kinds if kind not in known}
    return list(names.values())


def lost_profile(file: ImageFile.ImageFile, data: bytes, code_points: tuple[int, int] | None) -> list[str]:
    """The name of the ICC profile that a file has where it cannot be read, as one of which a part is missing."""
    if file.info.get("icc_profile") or code_points:
        return []
    if isinstance(file, JpegImagePlugin.JpegImageFile):
        is_there = any(text.startswith(b"ICC_PROFILE\0") for marker, text in jpeg.segments(data) if marker == 0xE2)
    elif file.format == "PNG":
        is_there = any(kind == b"iCCP" for kind, _ in png.chunks(data)) or "icc_profile" in file.info
    elif file.format == "WEBP":
        is_there = b"ICCP" in boxes.riff_kinds(data)
    else:
        is_there = exif.ICC in getattr(file, "tag_v2", {})
    return ["its colour profile, which cannot be read"] if is_there else []


def lost_bits(file: ImageFile.ImageFile, data: bytes, is_deep: bool) -> list[str]:
    bits = boxes.bits_a_sample(data) if file.format in ("AVIF", "HEIF") else 16 if is_deep else 8
    bits = sample_bits(file)[0] if file.format == "TIFF" else bits
    return [f"its {bits} bits a sample, of which 8 are kept"] if bits > 8 else []


def sample_bits(file: ImageFile.ImageFile) -> tuple[int, bool]:
    """How many bits a sample of a TIFF has, and whether it has a sign; of another file, what a deep one has."""
    tags = getattr(file, "tag_v2", {})
    bits = [bit for bit in tags.get(deep.BITS, ()) if isinstance(bit, int)]
    return max(bits, default=8 if tags else 16), tags.get(deep.SAMPLE_FORMAT) == (2,)
