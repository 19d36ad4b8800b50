"""Where the films of a bucket come from, as a page that plays them has to say before the first is asked for."""

from collections.abc import Callable
from urllib.parse import urlsplit

AWS, GOOGLE = "https://s3.{region}.amazonaws.com", "https://storage.googleapis.com"
AZURE = "https://{account}.blob.core.windows.net"
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
TRUE = frozenset({"1", "true", "on", "yes", "y"})


def origin_of(address: str, lookup: Callable[[str], str]) -> str:
    """The origin of the signed addresses of this bucket, by the variables of the environment."""
    url = urlsplit(address)
    if url.scheme == "gs":
        return GOOGLE
    if url.scheme == "az":
        return _origin(lookup("AZURE_STORAGE_ENDPOINT")) or AZURE.format(account=lookup("AZURE_STORAGE_ACCOUNT_NAME"))
    if endpoint := next(filter(None, map(lookup, ENDPOINTS)), ""):
        return _origin(endpoint)
    region = lookup("AWS_REGION") or lookup("AWS_DEFAULT_REGION") or "us-east-1"
    found = AWS.format(region=region)
    is_in_name = lookup("AWS_VIRTUAL_HOSTED_STYLE_REQUEST").lower() in TRUE
    return found.replace("://", f"://{url.hostname}.") if is_in_name else found


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
