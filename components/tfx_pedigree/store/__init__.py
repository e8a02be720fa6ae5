"""The content-addressed store. In: a model's files, from a local folder or an untrusted archive.
Out: manifests, and the same files again, verified on the way.
Never: interprets a model, asks a registry, changes what it has stored, or deletes anything but by `gc`.
"""

from tfx_pedigree.store.garbage_collection import GcReport
from tfx_pedigree.store.manifest import FileEntry, Manifest
from tfx_pedigree.store.store import ObjectRef, Store, manifest_of
from tfx_pedigree.store.users import StoreUser
from tfx_pedigree.store.verify import Problem, VerifyReport

__all__ = [
    "FileEntry",
    "GcReport",
    "Manifest",
    "ObjectRef",
    "Problem",
    "Store",
    "StoreUser",
    "VerifyReport",
    "manifest_of",
]
