"""The sections of the settings; a name says its unit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class Section(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(Section):
    """Where resources are stored."""

    url: str = Field(default="", description="postgresql://… ; empty is SQLite in the data directory.")
    busy_timeout_s: float = Field(default=5.0, gt=0, description="How long SQLite waits for a lock that another process holds.")
    connections: int = Field(default=32, ge=1, description="Most PostgreSQL connections of one process for reads, and as many for writes.")
    held_alarm_s: float = Field(default=60.0, gt=0, description="Age from which the log warns of events that a transaction elsewhere in the PostgreSQL cluster holds back.")
    migrate: bool = Field(default=True, description="Whether a process that starts brings an older schema up; false refuses to start until `chartloop db migrate` has run.")
    migrate_lock_timeout_s: float = Field(default=5.0, gt=0, description="How long one step of a migration waits for a table on PostgreSQL, before it lets others pass and tries again.")
    client_directory: Path | None = Field(default=None, description="Directory of pg_dump and pg_restore, for backups of PostgreSQL; empty finds them on PATH.")


class BusSettings(Section):
    """How events travel."""

    url: str = Field(default="table", description="table, kafka://host:port[,host:port] or kinesis://region/stream.")
    topic: str = Field(default="chartloop-events", pattern="^[A-Za-z0-9._-]{1,200}$", description="Kafka topic of events; dead letters are told in TOPIC-dead-letters.")
    partitions: int = Field(default=8, ge=1, le=1024, description="Partitions (Kinesis: shards) of a topic that is made; as many of a topic carry events, fixed at the first start.")
    copies: int = Field(default=0, ge=0, description="Copies of each partition of a topic that is made; 0 is the brokers' default.")
    create: bool = Field(default=True, description="Whether topics that are missing are made at the start; else `chartloop events topic create` makes them.")
    security: str = Field(default="PLAINTEXT", pattern="^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$", description="How brokers are spoken to.")
    insecure: bool = Field(default=False, description="Whether brokers on other machines may be spoken to without TLS, on a network of one's own.")
    ca: Path | None = Field(default=None, description="PEM file of the authorities that brokers' certificates come from; empty is the system's.")
    certificate: Path | None = Field(default=None, description="PEM file of this client's certificate, where brokers ask for one.")
    key: Path | None = Field(default=None, description="PEM file of that certificate's key, not readable by everybody.")
    mechanism: str = Field(default="SCRAM-SHA-512", pattern="^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)$", description="How the account is proved.")
    user: str = Field(default="", description="Account at the brokers.")
    password: SecretStr = Field(default=SecretStr(""), description="Its password, from the environment.")
    password_file: Path | None = Field(default=None, description="File that holds its password, not readable by everybody.")
    session_timeout_s: float = Field(default=45.0, ge=1, description="After so long a silence the brokers give a process's partitions to another.")
    most_waiting: int = Field(default=10_000, ge=1, description="Events of one consumer that are ready to be handled; from then on nothing more is fetched for it.")
    kinesis_poll_s: float = Field(default=2.0, gt=0, description="How often a consumer looks at a Kinesis shard; all consumers together may look five times a second.")
    endpoint: str = Field(default="", description="Address of Kinesis where it is not AWS's own.")


class ServerSettings(Section):
    """The HTTP server."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on.")
    threads: int = Field(default=32, ge=1, description="Blocking threads; as many as there are clients at once.")
    processes: int = Field(default=1, ge=1, description="Server processes over PostgreSQL; over SQLite there is one.")
    one_core: bool = Field(default=True, description="Over SQLite, keep the one process on one core: threads on several would fight for the interpreter lock.")
    base_url: str = Field(default="", description="Public URL without a path; empty is http(s)://host:port.")
    tls_certificate: Path | None = Field(default=None, description="PEM file of the certificate and those it was issued by; with it HTTP is answered over TLS 1.2 or newer alone.")
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's key, not readable by everybody.")
    tls_client_ca: Path | None = Field(default=None, description="PEM file of authorities: only clients with a certificate of theirs are let in.")
    behind_proxy: bool = Field(default=False, description="Whether a reverse proxy ends TLS in front of this server, which then may listen on other addresses than loopback without TLS.")
    insecure: bool = Field(default=False, description="Whether to listen on other addresses than loopback without TLS though nothing in front ends it; for tests on a network of one's own.")
    body_max_bytes: int = Field(default=5_000_000, ge=1, description="Largest request body.")
    bulk_body_max_bytes: int = Field(default=64_000_000, ge=1, description="Largest transaction of a system scope.")
    cors_origins: tuple[str, ...] = Field(default=(), description="Origins whose pages may call the API.")


class FhirSettings(Section):
    """The FHIR store."""

    full_text: bool = Field(
        default=False, description="Whether `_text` and `_content` are answered; their index costs disk and time, and is made at the next start."
    )
    conditional_delete: str = Field(
        default="single", pattern="^(single|multiple)$",
        description="Whether a conditional delete needs a single match or takes all; a mistyped condition would empty a chart.",
    )  # fmt: skip
    conditional_delete_max: int = Field(default=1000, ge=2, description="Most resources that one conditional delete takes where it may take several.")
    async_threads: int = Field(default=2, ge=1, description="Threads of a server process that carry out requests with Prefer: respond-async.")
    async_jobs_per_subject: int = Field(default=10, ge=1, description="Most such requests of one subject, results that are kept included; more answer 429.")
    async_keep_h: float = Field(default=24.0, gt=0, description="How many hours the result of such a request is kept.")

    @property
    def delete_most(self) -> int:
        """Most resources that one conditional delete takes."""
        return self.conditional_delete_max if self.conditional_delete == "multiple" else 1


class MllpSettings(Section):
    """The HL7 v2 listener."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=2575, ge=0, le=65535, description="Port to listen on.")
    max_bytes: int = Field(default=1_000_000, ge=1, description="Largest message.")
    idle_timeout_s: float = Field(default=300.0, gt=0, description="A connection that is silent for so long is closed.")
    tls_certificate: Path | None = Field(default=None, description="PEM file of the certificate and those it was issued by; with it messages come over TLS 1.2 or newer alone.")
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's key, not readable by everybody.")
    tls_client_ca: Path | None = Field(default=None, description="PEM file of authorities: only senders with a certificate of theirs are let in.")
    tls_client_names: tuple[str, ...] = Field(default=(), description="Names (subject alternative or common) of which a sender's certificate must carry one; empty is any that tls_client_ca issued.")
    insecure: bool = Field(default=False, description="Whether to listen on other addresses than loopback without TLS: a VPN or a proxy beside it protects the messages.")


class TelemetrySettings(Section):
    """Device telemetry."""

    max_bytes: int = Field(default=4_000_000_000, ge=1, description="Largest payload that is read as a stream (Apple Health).")
    json_max_bytes: int = Field(default=64_000_000, ge=1, description="Largest JSON payload.")
    close_after_s: float = Field(default=900.0, ge=0, description="How long after its end an hour waits for late readings before its Observation is written.")
    observations_per_request: int = Field(default=500, ge=0, description="Most Observations that are written before a payload is answered; the others follow.")
    publish_interval_s: float = Field(default=5.0, gt=0, description="How often closed hours become Observations.")


class EgressSettings(Section):
    """What the server itself may call."""

    allow_private: bool = Field(default=False, description="Whether private and loopback addresses may be called.")
    timeout_s: float = Field(default=30.0, gt=0, description="Total time of one call.")


class WorkerSettings(Section):
    """How events are worked off."""

    lanes: int = Field(default=8, ge=1, le=1024, description="Lanes per consumer; the events of one key share a lane.")
    threads: int = Field(default=4, ge=1, description="Threads that work on lanes.")
    bulkheads: int = Field(default=16, ge=1, description="Most keys of one isolated consumer at work at once.")
    batch: int = Field(default=100, ge=1, description="Events taken at once.")
    poll_interval_s: float = Field(default=0.5, gt=0, description="How often to look when nothing wakes the worker.")
    lease_s: float = Field(default=30.0, gt=0, description="How long a lane stays with a worker that is silent.")
    attempts: int = Field(default=8, ge=1, description="Tries before an event becomes a dead letter.")
    backoff_s: float = Field(default=1.0, gt=0, description="Wait before the second try; it doubles from then on.")
    backoff_max_s: float = Field(default=3600.0, gt=0, description="Longest wait between two tries.")
    retention_s: float = Field(default=604_800.0, gt=0, description="How long events are kept for a replay.")


class AuditSettings(Section):
    """The audit log."""

    seal_interval_s: float = Field(default=1.0, gt=0, description="How often records are sealed under a signed tree head.")
    free_min_mb: float = Field(default=256.0, ge=0, description="Least free space on the disk of the journal and of an embedded store, in MB; with less the server says that it is not ready.")
    segment_max_bytes: int = Field(default=64_000_000, ge=1024, description="Size at which the journal starts a new file.")
    heads_file: Path | None = Field(default=None, description="Where tree heads are written outside the database; empty is DATA/audit/heads.jsonl.")
    anchor_file: Path | None = Field(default=None, description="A second file for tree heads, on a volume that only grows or that another account owns; empty is none.")
    timezone: str = Field(default="UTC", pattern=r"^[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*$", description="Where the house is: what counts as night on the privacy officer's page.")
    retention_years: float = Field(default=0.0, ge=0, description="Age at which records are let go of by sealed segment; 0 keeps all. HIPAA asks for six years.")


class OidcSettings(Section):
    """An OpenID provider that people may log in with."""

    issuer: str = Field(default="", pattern="^$|^https?://[^?#]+$", description="Its issuer, to which /.well-known/openid-configuration is added; empty is none.")
    client_id: str = Field(default="", description="As which this server is registered there, with BASE_URL/login/external/callback as redirect URI.")
    client_secret: SecretStr = Field(default=SecretStr(""), description="The secret of that registration; empty for a public client.")
    label: str = Field(default="your organisation", description="How the login page calls it.")
    claim: str = Field(
        default="", description="Claim of the id_token that holds the login of a person here; empty: only identities that were registered by `chartloop auth users external`."
    )
    create_role: str = Field(default="", description="Role of people who are added when they first come from there, named by the claim; empty: nobody is.")


class AuthSettings(Section):
    """The authorization server, and how people log in."""

    token_ttl_s: int = Field(default=3600, ge=1, description="Life of an access token.")
    offline_ttl_s: int = Field(default=7_776_000, ge=60, description="How long what an app may do without its person (offline_access) can be refreshed.")
    online_ttl_s: int = Field(default=43_200, ge=60, description="How long online_access can be refreshed at most, while its session lives.")
    backend_ttl_s: int = Field(default=300, ge=1, le=300, description="Life of a backend service's access token.")
    tenant: str = Field(default="", description="What the token response says as `tenant`; empty is nothing.")
    registration: bool = Field(default=False, description="Whether apps may register themselves (RFC 7591); people are asked about them at every launch.")
    registration_scope: str = Field(
        default="launch launch/patient openid fhirUser profile offline_access online_access patient/*.rs", description="What such apps may ask for."
    )
    session_lifetime_s: int = Field(default=28_800, ge=60, description="A session ends so long after it was opened.")
    session_idle_s: int = Field(default=3600, ge=60, description="A session ends after so much silence.")
    link_ttl_h: float = Field(default=72.0, gt=0, description="How many hours the link works by which a person chooses a password.")
    lockout_tries: int = Field(default=5, ge=1, description="Tries to log in that cost no wait; four times as many for one login from everywhere, twenty times for one network.")
    lockout_max_s: int = Field(default=900, ge=15, description="Longest wait after failed tries; it begins with 15 seconds and doubles.")
    second_factor_roles: tuple[str, ...] = Field(default=(), description="Roles that must have a second factor, * for all; whoever set one up always needs it.")
    second_factor_grace_h: float = Field(default=0.0, ge=0, description="How many hours after they were added people of such a role get in without one.")
    forwarded_hops: int = Field(default=0, ge=0, description="How many trusted proxies add to X-Forwarded-For; 0 takes the address of the connection.")
    oidc: OidcSettings = OidcSettings()


class BrandSettings(Section):
    """How patients recognise this organisation (SMART user-access brands)."""

    name: str = Field(default="", description="Name that patients know; empty publishes no brand.")
    website: str = Field(default="", description="Address for patients.")
    identifier_system: str = Field(default="urn:ietf:rfc:3986", description="Namespace of the identifier; the default is for an address.")
    identifier_value: str = Field(default="", description="Identifier that apps match the brand by.")
    logo: str = Field(default="", description="Address of a picture.")
    portal_name: str = Field(default="", description="Name of the patient portal.")
    portal_url: str = Field(default="", description="Address of the patient portal.")
    changed: str = Field(default="2026-01-01T00:00:00Z", description="Instant of the last change of what stands here.")
    file: Path | None = Field(default=None, description="A brand Bundle of your own (JSON), published as it is; it must name the identifier.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.name and not (self.website and self.identifier_value):
            raise ValueError("a brand needs a website and an identifier_value")
        return self


class VaultSettings(Section):
    """Encryption of what is stored."""

    mode: str = Field(default="on", pattern="^(on|off)$", description="Whether bodies, audit records and messages are sealed as they are written; off still opens what is sealed.")
    key_file: Path | None = Field(default=None, description="File of the master key, readable by its owner alone, best on another volume than the data; empty is DATA/keys/vault.key, made at the first start.")
    key: SecretStr = Field(default=SecretStr(""), description="The master key itself, 32 bytes in base64 or hexadecimal, from the environment.")
    command: str = Field(default="", description="Command that prints the master key, so that a KMS, an HSM, age or pass unwraps it; run once at every start, without a shell.")
    earlier_key_files: tuple[Path, ...] = Field(default=(), description="Master keys that were in force before, until `chartloop keys rewrap` has run.")
    rotate_days: float = Field(default=365.0, gt=0, description="Age in days at which the data keys of the store and of the audit log are retired and new ones made.")


class AccessSettings(Section):
    """Who treats whom, and emergencies."""

    care_after_days: float = Field(default=365.0, ge=0, description="How long after a visit who took part in it still treats the patient.")
    break_glass_minutes: float = Field(default=15.0, gt=0, le=60, description="How long a chart stays open that was opened in an emergency.")


class PolicySettings(Section):
    """Who may see what."""

    directory: Path | None = Field(default=None, description="Directory of Cedar policies and schema; empty is what ships.")


class AppsSettings(Section):
    """SMART apps of this product."""

    review_url: str = Field(default="http://127.0.0.1:8501", description="Where browsers reach the review app; the EHR launches it there.")
    explainer_url: str = Field(default="", pattern="^$|^https?://[^/]+/.+/launch$", description="Where the EHR launches the explanation page; empty is /explain/launch at the origin of the review app.")

    @property
    def explainer_launch_url(self) -> str:
        """The launch URL of the explanation page that is in force."""
        return self.explainer_url or "{0.scheme}://{0.netloc}/explain/launch".format(urlsplit(self.review_url))


class EhrSettings(Section):
    """The demo EHR as a CDS client."""

    cds_services: tuple[str, ...] = Field(default=("self",), description="Base URLs of CDS services, in front of /cds-services; self is this server.")
    cds_deadline_s: float = Field(default=1.0, gt=0, le=10, description="How long an opened chart waits for the cards of all services.")


class CodingSettings(Section):
    """The coder model."""

    demo: bool = Field(default=False, description="Set by the demo alone: certified synthetic records count.")
    model_directory: Path | None = Field(default=None, description="Directory of the coder model; empty is what ships.")
    processes: int = Field(default=1, ge=1, description="Processes that run the model.")
    note_timeout_s: float = Field(default=60.0, gt=0, description="Longest time for one note.")


class PredictionsSettings(Section):
    """Risk predictions."""

    demo: bool = Field(default=False, description="Set by the demo alone: a model validated on made-up people counts.")
    model_directory: Path | None = Field(default=None, description="Directory of the trained risk model; empty is DATA/models/risk.")
    min_interval_s: float = Field(default=30.0, ge=0, description="Least time between two predictions for one patient; what changes meanwhile is answered at its end.")
    retrain_days: int = Field(default=0, ge=0, description="After so many days the risk model is trained anew from the store, as a candidate; 0 never does.")
    retrain_years: float = Field(default=10.0, gt=0, description="Horizon of the labels then: the index date is so long ago.")
    retrain_label_source: str = Field(default="", description="Where the labels of the store come from; it is shown beside every prediction, so nothing is trained without it.")
    lab_max_age_days: int = Field(default=730, ge=1, description="A laboratory value or smoking status older than this counts as not recorded.")
    vital_max_age_days: int = Field(default=365, ge=1, description="A blood pressure or body mass index older than this counts as not recorded.")


class PayerSettings(Section):
    """What is different for one payer; what is not said is as for all."""

    timeout_s: float | None = Field(default=None, gt=0)
    connect_s: float | None = Field(default=None, gt=0)
    calls_at_once: int | None = Field(default=None, ge=1)
    calls_per_s: float | None = Field(default=None, gt=0)
    failures: int | None = Field(default=None, ge=1)
    rest_s: float | None = Field(default=None, gt=0)
    rest_max_s: float | None = Field(default=None, gt=0)
    max_age_s: float | None = Field(default=None, gt=0)
    answer_max_bytes: int | None = Field(default=None, ge=1)


class ClaimsSettings(Section):
    """Claims to payers."""

    submitter_id: str = Field(default="CHARTLOOP", description="ISA06, GS02 and the submitter's identifier.")
    submitter_name: str = Field(default="CHARTLOOP DEMO", description="Name of the submitter.")
    contact_name: str = Field(default="BILLING OFFICE", description="Contact of the submitter.")
    contact_phone: str = Field(default="5555550100", description="Telephone number of the contact.")
    usage: str = Field(default="T", pattern="^[TP]$", description="ISA15: T test, P production.")
    poll_interval_s: float = Field(default=2.0, gt=0, description="How often payers' mailboxes are read.")
    payer_timeout_s: float = Field(default=10.0, gt=0, description="Total time of one call to a payer, from its name to the last byte of the answer.")
    payer_connect_s: float = Field(default=5.0, gt=0, description="Time within that to connect to a payer.")
    payer_calls_at_once: int = Field(default=4, ge=1, description="Most calls of one kind (sending, reading the mailbox) to one payer at once, calls that cannot be ended included.")
    payer_calls_per_s: float = Field(default=20.0, gt=0, description="Most calls of one kind to one payer in a second, from one process; what is more waits.")
    payer_failures: int = Field(default=5, ge=1, description="Failures in a row after which a payer is left alone.")
    payer_rest_s: float = Field(default=10.0, gt=0, description="For how long first; one probe follows, and the rest doubles with every probe that fails.")
    payer_rest_max_s: float = Field(default=300.0, gt=0, description="Longest rest between two probes.")
    payer_max_age_s: float = Field(default=86_400.0, gt=0, description="Age at which an interchange that cannot be delivered is given to a person.")
    payer_answer_max_bytes: int = Field(default=64_000_000, ge=1, description="Largest answer of a payer that is read.")
    payers: Mapping[str, PayerSettings] = Field(
        default={}, description="What differs for single payers: a table for each in chartloop.toml, `[claims.payers.PRAIRIE01]`, with names as above without `payer_`; or JSON."
    )
    note_wait_s: float = Field(default=60.0, ge=0, description="How long a claim with diagnoses but without a note waits for the note.")
    draft_interval_s: float = Field(default=15.0, gt=0, description="How often held drafts are looked at again.")
    silent_business_days: int = Field(default=2, ge=1, description="Business days after which a payer that has not acknowledged a claim (277CA) is silent about it.")
    silent_days: int = Field(default=30, ge=1, description="Days after which a payer that has neither paid nor denied a claim (835) is silent about it.")


class CdsEhr(Section):
    """An EHR elsewhere whose patients are known here, and the one rule by which they are found."""

    fhir_server: str = Field(pattern="^https?://[^/?#]+[^?#]*$", description="Base URL of its FHIR server, as its calls name it in fhirServer.")
    system: str = Field(default="", description="Namespace of an identifier that its Patients and ours carry.")
    prefix: str = Field(default="", pattern=r"^[A-Za-z0-9.\-]{0,63}$", description="What stands in front of its Patient ids here.")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if bool(self.system) == bool(self.prefix):
            raise ValueError("an EHR needs either a system or a prefix")
        return self


class CdsSettings(Section):
    """CDS Hooks."""

    stale_after_s: float = Field(default=31_536_000.0, gt=0, description="Age from which a prediction is not shown: a year, for age is among its inputs.")
    body_max_bytes: int = Field(default=1_000_000, ge=1, description="Largest call of a service, prefetch included.")
    feedback_per_day: int = Field(default=5_000, ge=0, description="Most feedback kept in a day; more answers 429.")
    ehrs: tuple[CdsEhr, ...] = Field(default=(), description="EHRs elsewhere whose patients are known here, each with fhir_server and either system (of an identifier) or prefix (of ids).")
    ehr_timeout_s: float = Field(default=1.0, gt=0, le=10, description="How long such an EHR may take to give its Patient.")
    client_keys: dict[str, str] = Field(
        default={}, description="EHRs that must sign their calls with a JWT: by issuer, the https address of a JWK set or the file that holds it; none: nobody has to sign."
    )


class OmopSettings(Section):
    """The research database."""

    url: str = Field(default="", description="sqlite:///path or postgresql://… of the CDM 5.4 database; empty is a SQLite file under data.")
    lineage_url: str = Field(default="", description="Where it is kept which resource a row came from, apart from the CDM; empty is a SQLite file under data.")
    orders: bool = Field(default=True, description="Whether a MedicationRequest of any order counts as an exposure; false is instance-order alone.")
    note_text: bool = Field(default=False, description="Whether words (of notes, of results in words) may enter the research database.")
    rebuild_days: int = Field(default=0, ge=0, description="After so many days the research database is built anew from the store, beside those who read it; 0 never does: events keep it right.")


class LogSettings(Section):
    """What is logged, and how."""

    level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least important level that is written.")
    format: str = Field(default="auto", pattern="^(auto|console|json)$", description="auto is console at a terminal, else JSON.")


class TracingSettings(Section):
    """Where spans are sent."""

    otlp_url: str = Field(default="", pattern="^$|^https?://", description="Where an OpenTelemetry collector takes traces (OTLP over HTTP), such as http://127.0.0.1:4318/v1/traces; empty sends none. Needs the extra otel.")
    share: float = Field(default=1.0, ge=0, le=1, description="Share of the traces that begin here which are sent.")
