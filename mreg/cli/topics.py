"""The topics of ``mreg help``: references, expressions, environment and exit codes."""

from __future__ import annotations

from mreg.cli.pages import Page, Section

TOPICS = {
    "references": "How to name a model or a version.",
    "expressions": "How to write a search or a gate of a policy.",
    "environment": "Environment variables that mreg reads or sets.",
    "exit-codes": "Exit codes of all commands.",
}
"""Summary of each topic."""

_REFERENCES = Page(
    name="mreg help references",
    summary=TOPICS["references"],
    description=(
        "A reference is the name of a model, or the name and a selector: NAME@SELECTOR. Where a command needs one "
        "version, a name alone means the latest version. For show, history, tag, edit, delete, export and verify a "
        "name alone means the model. approve, reject and archive require a selector.",
        "Stages, latest and best can be written in upper or lower case. Aliases are compared without regard to case.",
    ),
    sections=(
        Section(
            "Selectors",
            (
                ("churn@3", "Version 3; also churn@v3."),
                ("churn@latest", "The newest version that is not archived."),
                ("churn@best", "The version with the best primary metric, archived or not."),
                ("churn@production", "The version in Production; the one that entered last if there are several."),
                ("churn@staging", "The version in Staging. None and Archived can be named as well."),
                ("churn@champion", "The version with the alias champion."),
                ("churn@sha256:1f2e3d4c", "The version with this digest; at least 8 hexadecimal digits."),
            ),
        ),
        Section(
            "Steps back",
            (
                ("churn@3~1", "The version before version 3."),
                ("churn@latest~2", "Two versions before the latest one."),
                ("churn@production~1", "The version that was in Production before, as mreg rollback would restore it."),
                ("churn@champion~1", "The version that had the alias before."),
            ),
        ),
        Section(
            "Without the model",
            (
                ("3, v3, 3~1", "Version of the default model (MREG_MODEL, or model: of mreg.yaml or the profile)."),
                ("@production", "Any selector of the default model; without @ it is the name of a model."),
                ("~1", "The version before the latest one of the default model."),
                ("sha256:1f2e3d4c", "The version of the default model with this digest."),
            ),
        ),
        Section(
            "Other forms",
            (
                ("churn 3", "Two words, where a command takes one reference: mreg show churn 3."),
                ("churn:3", "The same as churn@3."),
                ("churn/3", "The same, if no model has the name churn/3."),
                ("models:/churn/3", "The form of MLflow."),
            ),
        ),
    ),
)

_EXPRESSIONS = Page(
    name="mreg help expressions",
    summary=TOPICS["expressions"],
    examples=(
        "mreg search \"metrics.accuracy > 0.9 and stage = 'Staging'\"",
        "mreg search \"name like 'team/%' and created_at > '2026-03-01'\"",
        "mreg search \"tags.team in ('fraud', 'risk') or alias = champion\"",
        'mreg search "not (params.lr is null) and deployed_at is null"',
    ),
    description=(
        "An expression consists of comparisons, joined with and, or, not and parentheses. Keywords can be written in "
        "upper or lower case. Text needs quotes, single or double, unless it is one word.",
        "A comparison with a missing value is false, also with !=. Use is null to test for missing values.",
        "A time without a zone is local time; mreg search prints the time in UTC to standard error.",
    ),
    sections=(
        Section(
            "Fields",
            (
                ("metrics.NAME", "Metric, a number."),
                ("params.NAME", "Parameter, a text."),
                ("tags.NAME", "Tag, a text."),
                ("name, version, stage, status", "Model name, version number, stage, and status of the version."),
                ("alias, description", "Alias and description."),
                ("run_id, experiment_id", "Run and experiment of the training."),
                ("format, size_bytes, checksum", "Format, size and digest of the artifact."),
                ("git_commit, git_branch", "Git commit and branch of the push."),
                ("created_by, created_at", "User and time of the push."),
                ("updated_at, deployed_at", "Time of the last change, and of the entry into Production."),
            ),
        ),
        Section(
            "Operators",
            (
                ("= != < <= > >=", "Compare numbers, texts and times."),
                ("like, not like", "Compare with a pattern: % is any text, _ is one character."),
                ("in (...), not in (...)", "Compare with several values."),
                ("is null, is not null", "Test for a missing value."),
            ),
        ),
        Section(
            "Gates of a policy",
            (
                ("accuracy >= 0.9", "A name that is not a field means a metric."),
                ("auc >= production.auc", "Compare with the version in a stage or under an alias."),
                ("cost <= production.cost * 1.1", "Add a factor or an offset: production.cost + 5."),
            ),
        ),
    ),
)

SETTINGS = (
    ("MREG_PROFILE", "Profile (default: the one of mreg.yaml, or the default of the profile file, or local)."),
    ("MREG_CONFIG", "Profile file (default: config.yaml in the user's configuration folder, on Linux ~/.config/mreg). "
     "/dev/null means none."),
    ("MREG_SERVER", "URL of mreg serve, instead of a catalog and artifacts: https://HOST (default: none)."),
    ("MREG_TOKEN", "Token for the server of MREG_SERVER; without that, for the server of your profile, but not for one "
     "that only mreg.yaml chooses (default: the token_command of the profile, then the token that mreg login saved)."),
    ("MREG_CATALOG", "Catalog: a file, s3://BUCKET/PREFIX/catalog.db, az://CONTAINER/PREFIX/catalog.db, or "
     "postgresql://USER@HOST/DATABASE or redis://HOST:PORT/DATABASE, which can have a password here (default: "
     "catalog.db in the user's data folder, on Linux ~/.local/share/mreg; or in the place of MREG_ARTIFACTS)."),
    ("MREG_ARTIFACTS", "Artifact store: a folder, s3://BUCKET/PREFIX or az://CONTAINER/PREFIX (default: next to the "
     "catalog)."),
    ("MREG_ENDPOINT_URL", "Address of an S3 store other than AWS, or of an Azure storage account (default: AWS)."),
    ("MREG_REGION", "Region of the bucket (default: the AWS configuration)."),
    ("MREG_AWS_PROFILE", "Profile of the AWS configuration with the credentials (default: the AWS credential chain)."),
    ("MREG_ADDRESSING_STYLE", "Style of bucket addresses: auto, path or virtual (default: path with MREG_ENDPOINT_URL, "
     "else auto)."),
    ("MREG_CACHE", "Pull cache for a bucket or server: a size such as 20GB, or a folder (default: no cache)."),
    ("MREG_MODEL", "Default model: of a reference without a model, and of a push without --name (default: none; a push "
     "infers the model from the path)."),
    ("MREG_EXISTING_ONLY", "1, true or yes: a push does not register a new model (default: no)."),
    ("MREG_USER", "User in the audit trail (default: the user of the CI job, of git, or of the login, or uid:NUMBER)."),
    ("MREG_TRUST_PROJECT", "1, true or yes: every mreg.yaml may name its store or server, without mreg "
     "trust (default: no)."),
    ("MREG_SERVER_TOKENS", "Tokens for mreg serve without --token-file: lines of a token file, separated by "
     "newlines or ';' (default: no tokens)."),
)  # fmt: skip
"""Variables that a user sets. An option of the command comes first, then the variable, mreg.yaml, and the profile."""

HOOKS = (
    ("MREG_EVENT", "Action of the event, such as version.stage_changed."),
    ("MREG_REFERENCE", "Reference of the version."),
    ("MREG_EVENT_MODEL", "Name of the model."),
    ("MREG_VERSION", "Number of the version; empty for an event of a model."),
    ("MREG_STAGE", "Stage that the version entered; empty for other events."),
    ("MREG_HOOK", "Name of the hook."),
    ("MREG_DEPLOYMENT", "Key of the deployment, the same for every attempt. If it is set, commands run no hooks."),
)
"""Variables that mreg sets for the command of a hook."""

OTHERS = (
    ("NO_COLOR", "If set, output has no colours."),
    ("CLICOLOR_FORCE", "1 forces colours when the output is not a terminal."),
    ("COLUMNS", "Width of tables and help texts (default: the width of the terminal)."),
    ("AWS_...", "Credentials and settings for S3, as described by AWS."),
    ("PG...", "Credentials and settings for PostgreSQL, as described by libpq."),
    ("_MREG_COMPLETE", "Set by the completion scripts of mreg completion."),
)
"""Variables of other programs, and one for internal use."""

_ENVIRONMENT = Page(
    name="mreg help environment",
    summary=TOPICS["environment"],
    description=(
        "A setting comes from the first of these that has it: an option of the command, the environment variable, "
        "mreg.yaml of the project, the profile, the default. mreg profile show prints each value with its origin.",
    ),
    sections=(
        Section("Settings", SETTINGS),
        Section("Variables of hook commands", HOOKS),
        Section("Other variables", OTHERS),
    ),
)

_EXIT_CODES = Page(
    name="mreg help exit-codes",
    summary=TOPICS["exit-codes"],
    description=(
        "A failed command prints the error and a hint to standard error, with --json as one JSON object. It has "
        "changed nothing, with one exception: if a hook fails, the change before it stays, unless the hook rolls it "
        "back.",
    ),
    sections=(
        Section(
            "Exit codes",
            (
                ("0", "Success."),
                ("1", "Failure: the registry or your role does not allow it, a hook failed, or an unexpected error."),
                ("2", "Usage error: invalid option, reference, value, file or profile."),
                ("3", "A gate failed, or mreg compare --fail-on-regression found a regression."),
                ("4", "Model, version, file or profile not found."),
                ("5", "An approval is missing, the version was rejected, or only an approver can do this."),
                ("6", "A stored artifact, a pulled copy, the catalog or the audit trail is damaged."),
                ("7", "Conflict: it already exists, was changed by another process, or the catalog is busy."),
                ("8", "The catalog, store, server or a file cannot be reached, or permission or the token is refused."),
                ("9", "Unchanged: mreg pull --if-changed wrote nothing, or mreg wait reached its timeout."),
                ("130", "Interrupted (Ctrl-C)."),
                ("141", "Broken pipe."),
                ("143", "Terminated (SIGTERM)."),
            ),
        ),
    ),
)

_PAGES = {
    "references": _REFERENCES,
    "expressions": _EXPRESSIONS,
    "environment": _ENVIRONMENT,
    "exit-codes": _EXIT_CODES,
}


def topic(name: str) -> Page:
    """Return the page of a topic."""
    return _PAGES[name]
