"""Profiles: named endpoints of models, and references to the secrets they need."""

from themis.profiles.document import Profiles, load_profiles, profiles_path
from themis.profiles.endpoint import Endpoint

__all__ = ["Endpoint", "Profiles", "load_profiles", "profiles_path"]
