"""Settings: command line, then environment, then chartloop.toml, then defaults; and where each value came from."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from chartloop.kernel.errors import Invalid
from chartloop.kernel.settings_sections import (
    AccessSettings,
    AppsSettings,
    AuditSettings,
    AuthSettings,
    BrandSettings,
    BusSettings,
    CdsSettings,
    ClaimsSettings,
    CodingSettings,
    DatabaseSettings,
    EgressSettings,
    EhrSettings,
    FhirSettings,
    LogSettings,
    MllpSettings,
    OmopSettings,
    PolicySettings,
    PredictionsSettings,
    ServerSettings,
    TelemetrySettings,
    TracingSettings,
    VaultSettings,
    WorkerSettings,
)
from chartloop.kernel.streams.address import address_of

_PREFIX = "CHARTLOOP_"
_FILE = "chartloop.toml"


class Settings(BaseSettings):
    """Everything that may be set."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    data: Path = Field(default=Path("var"), description="Directory of the embedded store, the audit journal and the keys.")
    database: DatabaseSettings = DatabaseSettings()
    bus: BusSettings = BusSettings()
    server: ServerSettings = ServerSettings()
    fhir: FhirSettings = FhirSettings()
    mllp: MllpSettings = MllpSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    egress: EgressSettings = EgressSettings()
    worker: WorkerSettings = WorkerSettings()
    audit: AuditSettings = AuditSettings()
    auth: AuthSettings = AuthSettings()
    brand: BrandSettings = BrandSettings()
    vault: VaultSettings = VaultSettings()
    policy: PolicySettings = PolicySettings()
    access: AccessSettings = AccessSettings()
    apps: AppsSettings = AppsSettings()
    ehr: EhrSettings = EhrSettings()
    coding: CodingSettings = CodingSettings()
    predictions: PredictionsSettings = PredictionsSettings()
    claims: ClaimsSettings = ClaimsSettings()
    cds: CdsSettings = CdsSettings()
    omop: OmopSettings = OmopSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let what is given win over the environment, and that over the file."""
        return (init_settings, env_settings, _TomlSource(settings_cls))

    @property
    def database_url(self) -> str:
        """The database, embedded unless one was named."""
        return self.database.url or f"sqlite:///{self.data / 'chartloop.sqlite3'}"

    @property
    def embedded(self) -> bool:
        """Whether the store is SQLite, which one process owns."""
        return self.database_url.startswith("sqlite:")

    @property
    def omop_url(self) -> str:
        """The research database, embedded unless one was named."""
        return self.omop.url or f"sqlite:///{self.data / 'omop' / 'cdm.sqlite3'}"

    @property
    def omop_lineage_url(self) -> str:
        """What knows where its rows came from, embedded unless one was named."""
        return self.omop.lineage_url or f"sqlite:///{self.data / 'omop' / 'lineage.sqlite3'}"

    @property
    def keys(self) -> Path:
        """Where secrets are kept."""
        return self.data / "keys"


class _TomlSource(PydanticBaseSettingsSource):
    """chartloop.toml of the working directory."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return read_toml().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return read_toml()


def read_toml(path: Path | None = None) -> dict[str, Any]:
    """Read the settings file, if there is one."""
    file = path or Path(_FILE)
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{_FILE} cannot be read: {error}.") from None


def load_settings(overrides: Mapping[str, object] | None = None) -> Settings:
    """Gather the settings; overrides are dotted names from the command line, such as {"server.port": 8080}."""
    try:
        settings = Settings(**_nested(overrides or {}))
    except ValidationError as error:
        raise Invalid(_sentence(error)) from None
    address_of(settings.bus.url)
    return settings


def ci() -> bool:
    """Whether this runs under continuous integration, where nothing may be skipped."""
    return bool(os.environ.get("CI"))


def child_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process that this one starts."""
    return {**os.environ, **additions}


def export_environment(additions: Mapping[str, str]) -> None:
    """Put settings into the environment of this process, for those it starts."""
    os.environ.update(additions)


def corpus_directory() -> Path | None:
    """Where the sample files are, when somebody said so."""
    named = os.environ.get("CHARTLOOP_CORPUS")
    return Path(named) if named else None


def explain(settings: Settings, overrides: Mapping[str, object] | None = None) -> list[tuple[str, str, str]]:
    """List (name, value, origin) of every setting; secrets are masked."""
    in_file = dict(_leaves(read_toml()))
    rows = []
    for name, value in _leaves(settings):
        variable = _PREFIX + name.upper().replace(".", "__")
        if name in (overrides or {}):
            origin = "command line"
        elif _in_environment(variable):
            origin = "environment"
        else:
            origin = _FILE if name in in_file else "default"
        rows.append((name, _shown(name, value), origin))
    return rows


def _shown(name: str, value: object) -> str:
    """Write a value; a secret as stars, and a URL without its password."""
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    text = str(value)
    if name.endswith("url") and "@" in text:
        scheme, _, rest = text.partition("://")
        account, _, host = rest.rpartition("@")
        return f"{scheme}://{account.partition(':')[0]}:********@{host}"
    return text


def _in_environment(variable: str) -> bool:
    return any(name.upper() == variable for name in os.environ)


def _leaves(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if not isinstance(value, Mapping):
        yield prefix, value
        return
    for name, inner in value.items():
        yield from _leaves(inner, f"{prefix}.{name}" if prefix else str(name))


def _nested(flat: Mapping[str, object]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
        branch[last] = value
    return tree


def _sentence(error: ValidationError) -> str:
    """Name each wrong setting; never its value, which may be a secret."""
    return "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors())


