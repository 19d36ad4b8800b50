"""`python -m tests.logins`: the identity provider of the tests, to try a login at. Everyone who comes is `ada`."""

from tests.logins.provider import identity_provider


def main() -> None:
    """Until it is interrupted."""
    with identity_provider() as provider:
        print(f"export LTX_MCP_OIDC_ISSUER={provider.issuer}", flush=True)
        try:
            provider.process.wait()
        except KeyboardInterrupt:
            print("the identity provider ends")


if __name__ == "__main__":
    main()
