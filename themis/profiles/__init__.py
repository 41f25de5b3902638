"""Profiles: named storages, executors and endpoints of models, and references to the secrets they need."""

from themis.core.directories import profiles_path
from themis.profiles.document import KINDS, Profile, Profiles, load_profiles
from themis.profiles.endpoint import Endpoint
from themis.profiles.executor import ExecutorProfile
from themis.profiles.storage import StorageProfile

__all__ = [
    "KINDS",
    "Endpoint",
    "ExecutorProfile",
    "Profile",
    "Profiles",
    "StorageProfile",
    "load_profiles",
    "profiles_path",
]
