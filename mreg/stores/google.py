"""What messages about Google Cloud Storage say; obstore finds the credentials itself."""

from __future__ import annotations

from mreg.stores.failures import Words

RIGHTS_HINT = "grant these credentials the role Storage Object User on the bucket (roles/storage.objectUser)"
LOGIN_HINT = "log in again: gcloud auth application-default login"
MISSING = ("an object is missing", "find what is missing: mreg verify")

WORDS = Words(
    name="Google Cloud Storage",
    credentials="GOOGLE_APPLICATION_CREDENTIALS, gcloud auth application-default login, and the service account of the "
    "machine",
    # https://cloud.google.com/storage/docs/xml-api/reference-status
    codes={
        "NoSuchBucket": ("the bucket does not exist", "check artifacts in the profile, or create the bucket"),
        "AccessDenied": ("permission denied", RIGHTS_HINT),
        "403": ("permission denied", RIGHTS_HINT),
        "AuthenticationRequired": ("the credentials were refused", LOGIN_HINT),
        "ExpiredToken": ("the token has expired", LOGIN_HINT),
        "401": ("the credentials were refused", LOGIN_HINT),
        "NoSuchKey": MISSING,
        "404": MISSING,
    },
    damaged=frozenset({"BadDigest", "InvalidDigest"}),
    certificate_hint="set SSL_CERT_FILE to the file of the certificate authority",
    network_hint="check the network: mreg profile check",
)
