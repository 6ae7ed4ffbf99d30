"""What the LiteLLM callback is told by the environment, beside the settings that every part of Stillwatch reads."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from stream_app.gateways.identities import Identities, IdentityError
from stream_app.gateways.litellm import IDENTITY_FIELDS
from stream_app.settings import SettingsError


class LiteLLMSettings(BaseSettings):
    """Read once, when the proxy starts."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    #: Fields of a key, the first of which that is set is the tenant.
    tenant: Annotated[str, Field(validation_alias="STILLWATCH_LITELLM_TENANT")] = "org_id,team_id,user_id,key"
    #: Likewise for the account.
    account: Annotated[str, Field(validation_alias="STILLWATCH_LITELLM_ACCOUNT")] = "key"
    #: Refuse requests that decisions deny.
    enforce: Annotated[bool, Field(validation_alias="STILLWATCH_LITELLM_ENFORCE")] = True
    #: Refuse every request while the decisions are unread.
    fail_closed: Annotated[bool, Field(validation_alias="STILLWATCH_LITELLM_FAIL_CLOSED")] = False
    #: Public keys whose decisions are obeyed, and no others.
    verify_keys: Annotated[str | None, Field(validation_alias="STILLWATCH_LITELLM_VERIFY_KEYS")] = None


class SketchSettings(BaseSettings):
    """Where the keys of sketches are; without the first no sketch is made."""

    model_config = SettingsConfigDict(env_prefix="STILLWATCH_", frozen=True, extra="ignore")

    sketch_key_file: Path | None = None
    exchange_key_file: Path | None = None


def load_litellm_settings() -> tuple[LiteLLMSettings, Identities, SketchSettings]:
    """Read the environment; raises ``SettingsError`` with a line per wrong value."""
    try:
        settings, sketches = LiteLLMSettings(), SketchSettings()
    except ValidationError as error:
        wrong = [f"{one['loc'][0]}: {one['msg']}" for one in error.errors()]
        raise SettingsError("\n".join(wrong)) from error
    try:
        return settings, _identities(settings), sketches
    except IdentityError as error:
        raise SettingsError(str(error)) from error


def _identities(settings: LiteLLMSettings) -> Identities:
    """LiteLLM's ``key`` is the hash that it logs itself, so no credential is among these fields."""
    tenant, account = (
        tuple(name.strip() for name in names.split(",") if name.strip())
        for names in (settings.tenant, settings.account)
    )
    if not tenant:
        raise IdentityError("STILLWATCH_LITELLM_TENANT names no field")
    unknown = [name for name in (*tenant, *account) if name not in IDENTITY_FIELDS]
    if unknown:
        known = ", ".join(IDENTITY_FIELDS)
        raise IdentityError(f"LiteLLM knows no {unknown[0]}: STILLWATCH_LITELLM_TENANT and _ACCOUNT take {known}")
    return Identities(tenant, account)
