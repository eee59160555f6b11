"""Pictures in, dict batches out: uint8 RGB until the device.

    dataset = open_pictures("imagenette", size=64)           # or a folder of photographs, or tar shards
    batch = next(batches(dataset, 32, crop=48))              # {"rgb": (32, 3, 48, 48) uint8, "id": [...], "label": (32,)}

What people type is opened by `open_pictures`, `open_pairs` (infrared), `open_captioned` and `open_clips`, as one split,
packed. What there is, and what a sample holds beside rgb `(3, H, W)` and id; everything is uint8 and aligned with rgb:

    photographs    Pictures (any folder), Shards (tars), torchvision_set (Imagenette, Places365, Flowers102, STL10): label
    captioned      Captioned (x.txt beside x.jpg, COCO's JSON): caption, captions; WithCaptions adds them to any other set
    infrared       NirPairs (x_rgb, x_nir): nir `(1, H, W)`; PseudoInfrared makes it up; Misregistered moves rgb against it
    masked         Masked (x_mask beside x): mask, saliency `(1, H, W)`
    clips          Clips (folders of frames, video files): rgb `(T, 3, H, W)`, clip
    procedural     SceneSet, all of these without a download; SceneClips

`pack` decodes a source once, into a `Packed` that is read at full speed; `Streamed` is for tars too big for that.
"""
from colorlib.data.archives import extract
from colorlib.data.captioned import WithCaptions, colored, open_captioned
from colorlib.data.clip_sets import SceneClips, open_clips
from colorlib.data.clips import Clips
from colorlib.data.combining import choose, ids_of, join
from colorlib.data.downloads import download
from colorlib.data.feeding import augment, batches, check_feed, collate
from colorlib.data.infrared import build_vcip_like, open_pairs, shared_photos, split_sets
from colorlib.data.misregistration import Misregistered, parse_misregistration
from colorlib.data.opening import describe, open_pictures, open_stream
from colorlib.data.packing import Packed, Report, cache_folder, pack
from colorlib.data.pairs import Captioned, Masked, NirPairs, SceneSet, join_groups, split_ids
from colorlib.data.pseudo_infrared import PseudoInfrared, pseudo_nir
from colorlib.data.public_sets import NAMES as TORCHVISION_SETS
from colorlib.data.public_sets import torchvision_set
from colorlib.data.resident import Resident, resident
from colorlib.data.shards import Shards, write_shards
from colorlib.data.sources import Pictures, Source, is_gray, photo_folder, resize, sample_photos
from colorlib.data.streaming import Streamed

__all__ = ["open_pictures", "open_pairs", "open_captioned", "open_clips", "open_stream", "batches", "collate", "augment", "check_feed",
           "describe", "choose", "Pictures", "Shards", "TORCHVISION_SETS", "torchvision_set", "sample_photos", "photo_folder", "resize",
           "is_gray", "Captioned", "WithCaptions", "colored", "join", "NirPairs", "PseudoInfrared", "pseudo_nir", "Misregistered",
           "parse_misregistration", "build_vcip_like", "shared_photos", "Masked", "Clips", "SceneSet", "SceneClips", "ids_of", "split_ids",
           "split_sets", "join_groups", "Source", "pack", "Packed", "Report", "cache_folder", "Resident", "resident", "Streamed", "write_shards", "download",
           "extract"]
