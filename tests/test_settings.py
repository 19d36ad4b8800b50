"""Settings: a name or value that nothing can act on stops the start, in words that say what to do about it."""

import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from ltx_mcp.domain.errors import SetupError
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.jobs.callers import CallerLimits
from ltx_mcp.presentation.config import make_config, read_edge
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.settings import described, read_overlay_path, read_settings

OVERLAY = """
name = "local"
[[offer]]
model = "{model}"
operation = "text_to_video"
endpoint = "preview"
limits = [{{ duration = [3], fps = [24], resolution = ["720p"] }}]
aspect_ratio = ["16:9"]
price = {{ as_of = "2026-11-21", source = "a test", usd_per_second = {{ 720p = "0.5" }} }}
"""

Edge = Callable[..., Catalog]


def test_a_user_without_a_home_is_told_which_setting_gives_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a container's user without an entry in passwd is."""

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(SetupError, match="no home folder") as caught:
        read_settings({})
    assert "LTX_MCP_HOME" in caught.value.hint
    settings = read_settings({"LTX_MCP_HOME": str(tmp_path)})
    config = make_config(settings, read_edge(environment={"LTX_MCP_HOME": str(tmp_path)})[1], paths=True)
    monkeypatch.chdir("/")
    assert config.home == tmp_path
    assert make_config(settings, config.catalog, paths=True).folders == ()


def test_settings_are_read_where_the_working_folder_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    given = {"LTX_MCP_HOME": str(tmp_path / "home")}
    settings, catalog = read_edge(environment=given)
    assert make_config(settings, catalog, paths=True).home == tmp_path / "home"
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Edge:
    """The catalog of a process whose environment has these settings, and no other of ours."""

    def read(**values: str) -> Catalog:
        for name in [name for name in os.environ if name.startswith("LTX_")]:
            monkeypatch.delenv(name)
        for name, value in values.items():
            monkeypatch.setenv(f"LTX_MCP_{name}", value)
        return read_edge()[1]

    return read


def overlay(folder: Path, text: str) -> str:
    path = folder / "models.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HOEM", "home", ""])
def test_a_name_that_nothing_acts_on_is_refused_by_name(name: str) -> None:
    with pytest.raises(SetupError, match=rf"does not act on LTX_MCP_{name}\. .*Known: LTX_MCP_HOME, "):
        read_settings({f"LTX_MCP_{name}": "x"})


def test_every_unknown_name_is_told_at_once() -> None:
    with pytest.raises(SetupError, match=r"LTX_MCP_COLOUR, LTX_MCP_SPEED\."):
        read_settings({"LTX_MCP_SPEED": "", "LTX_MCP_HOME": "x", "LTX_MCP_COLOUR": "red"})


def test_an_unknown_name_stops_a_process_and_is_named_without_a_traceback(tmp_path: Path) -> None:
    environment = {**os.environ, "LTX_MCP_HOME": str(tmp_path / "home"), "LTX_MCP_SPEED": "fast"}
    for command in (["doctor"], ["jobs"], ["serve"]):
        arguments = [sys.executable, "-m", "ltx_mcp", *command]
        ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert ended.returncode in (1, 3)
        assert "LTX_MCP_SPEED" in ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
    assert not (tmp_path / "home").exists()


def test_names_of_the_facts_are_known_where_they_are_given() -> None:
    address = {"LTX_MCP_FAL_QUEUE_URL": " http://127.0.0.1:1 "}
    assert read_settings(address, frozenset(address)).lookup("LTX_MCP_FAL_QUEUE_URL") == "http://127.0.0.1:1"


def test_other_programs_variables_are_nobodys_business() -> None:
    assert read_settings({"LTX_API_KEY": "k", "LTXMCP_HOME": "x", "PATH": "/bin"}).home_text == ""


# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING, ERROR"),
        ("BUDGET_USD_PER_DAY", "abc", "an amount such as 5 or 2.50"),
        ("BUDGET_USD_PER_DAY", "-1", "an amount such as 5 or 2.50"),
        ("BUDGET_USD_PER_DAY", "NaN", "an amount such as 5 or 2.50"),
        ("BUDGET_USD_PER_DAY", "Infinity", "an amount such as 5 or 2.50"),
        ("BUDGET_USD_PER_DAY", "5 USD", "an amount such as 5 or 2.50"),
        ("CONFIRM_ABOVE_USD", "-1", "an amount such as 5 or 2.50"),
        ("CONFIRM_ABOVE_USD", "NaN", "an amount such as 5 or 2.50"),
        ("PUBLIC_URL", "films.example.com", "an address such as https://"),
        ("PUBLIC_URL", "ftp://films.example.com", "an address such as https://"),
        ("PUBLIC_URL", "https://", "an address such as https://"),
        ("PUBLIC_URL", "https://films.example.com:port", "an address such as https://"),
        ("PUBLIC_URL", "https://films.example.com/?a=1", "an address such as https://"),
        ("OIDC_ISSUER", "login.example.com", "an address such as https://"),
        ("OIDC_ISSUER", "token", "an address such as https://"),
        ("OIDC_ISSUER", ",", "an address such as https://"),
        ("TOKENS_FILE", "~nobody-of-this-name/tokens.toml", "a path"),
        ("HOME", "~nobody-of-this-name/ltx", "a path"),
        ("MODELS", "~nobody-of-this-name/models.toml", "a path"),
        ("CALLERS_FILE", "~nobody-of-this-name/callers.toml", "a path"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SetupError) as raised:
        read_settings({f"LTX_MCP_{name}": value})
    assert f"LTX_MCP_{name}={value!r} cannot be used; give " in str(raised.value)
    assert allowed in str(raised.value)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("PUBLIC_URL", "https://me:hunter2@films.example.com"),
        ("VIDEO_STORE", "s3://me:hunter2@films"),
        ("VIDEO_STORE", "s3://films?secret=hunter2"),
        ("VIDEO_STORE", "/srv/hunter2"),
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(name: str, address: str) -> None:
    with pytest.raises(SetupError, match=f"LTX_MCP_{name} cannot be used") as raised:
        read_settings({f"LTX_MCP_{name}": address})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "bucket"),
    [("", ""), ("folder", ""), ("Folder", ""), ("s3://films", "s3://films"), ("gs://films/ltx/", "gs://films/ltx")],
)
def test_films_lie_in_the_home_or_in_the_bucket_that_is_named(text: str, bucket: str) -> None:
    assert read_settings({"LTX_MCP_VIDEO_STORE": text}).bucket == bucket


UNFILLED = ["${env:FAL_KEY}", "${FAL_KEY}", "$FAL_KEY", " ${input:fal-key} ", "<UNKNOWN>"]


@pytest.mark.parametrize("reference", [*UNFILLED, "${user_config.fal_key}"])
def test_a_key_that_is_a_reference_nobody_filled_in_is_not_set(reference: str) -> None:
    assert read_settings({"FAL_KEY": reference}).lookup("FAL_KEY") == ""


@pytest.mark.parametrize("name", ["BUDGET_USD_PER_DAY", "CONFIRM_ABOVE_USD", "HOME", "DATABASE_URL", "PROVIDERS"])
@pytest.mark.parametrize("reference", UNFILLED)
def test_a_setting_that_is_a_reference_nobody_filled_in_is_refused_by_name(name: str, reference: str) -> None:
    with pytest.raises(SetupError, match=rf"LTX_MCP_{name}=.*did not fill in"):
        read_settings({f"LTX_MCP_{name}": reference})


def test_a_form_that_was_left_empty_is_the_default() -> None:
    empty = {f"LTX_MCP_{name}": "${user_config.left_empty}" for name in ("BUDGET_USD_PER_DAY", "HOME", "MODELS")}
    settings = read_settings(empty)
    assert (settings.budget_usd, settings.home_text, read_overlay_path(empty)) == (None, "", None)


@pytest.mark.parametrize("value", ["${", "a${b}", "${a}${b}", "$", "${a} b", "fal$key"])
def test_what_only_looks_like_a_reference_is_a_value(value: str) -> None:
    assert read_settings({"FAL_KEY": value}).lookup("FAL_KEY") == value


def test_values_are_stripped_and_an_empty_one_is_the_default() -> None:
    given = {
        "HOME": " /srv/ltx ",
        "PROVIDERS": " local , ,fal ",
        "MODELS": "  ",
        "BUDGET_USD_PER_DAY": " 2.50\n",
        "CONFIRM_ABOVE_USD": " 0 ",
        "LOG_LEVEL": " debug ",
        "PUBLIC_URL": " https://films.example.com/ltx ",
    }
    settings = read_settings({f"LTX_MCP_{name}": value for name, value in given.items()})
    assert settings.home == Path("/srv/ltx")
    assert settings.providers == ("local", "fal")
    assert read_overlay_path({"LTX_MCP_MODELS": "  "}) is None
    assert settings.budget_usd == Decimal("2.50")
    assert settings.confirm_above_usd == Decimal(0)
    assert settings.log_level == "DEBUG"
    assert settings.public_url == "https://films.example.com/ltx"


def test_nothing_set_is_no_limit_no_overlay_and_the_users_own_folder() -> None:
    settings = read_settings({})
    assert settings.home.is_absolute()
    assert settings.home.name == "ltx-mcp"
    assert (settings.providers, read_overlay_path({}), settings.budget_usd) == ((), None, None)
    assert settings.confirm_above_usd is None
    assert (settings.log_level, settings.public_url, settings.input_dirs) == ("", "", "")


def test_without_a_callers_file_everybody_may_order_the_same_and_nothing_is_read(tmp_path: Path) -> None:
    catalog = make_catalog(read_providers(), (), lambda name: "")
    given = {"LTX_MCP_HOME": str(tmp_path), "LTX_MCP_CONFIRM_ABOVE_USD": "2", "LTX_MCP_MAX_LIVE_JOBS": "7"}
    limits_of = make_config(read_settings(given), catalog, paths=False).limits_of
    assert limits_of("local") == limits_of("token|anna")
    assert limits_of("local") == CallerLimits(max_live_jobs=7, confirm_above_usd=Decimal(2))


def test_the_callers_file_says_what_each_may_order_and_the_settings_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "callers.toml"
    path.write_text('[caller."token|anna"]\nmax_live_jobs = 3', encoding="utf-8")
    catalog = make_catalog(read_providers(), (), lambda name: "")
    given = {"LTX_MCP_HOME": str(tmp_path), "LTX_MCP_CALLERS_FILE": str(path), "LTX_MCP_CONFIRM_ABOVE_USD": "2"}
    limits_of = make_config(read_settings(given), catalog, paths=False).limits_of
    assert limits_of("token|anna") == CallerLimits(max_live_jobs=3, confirm_above_usd=Decimal(2))
    path.unlink()
    with pytest.raises(SetupError, match="No such file"):
        make_config(read_settings(given), catalog, paths=False)


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings({"LTX_MCP_HOME": "state"}).home == tmp_path / "state"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert read_settings({"LTX_MCP_HOME": "~/state"}).home == tmp_path / "state"
    assert read_overlay_path({"LTX_MCP_MODELS": "~/models.toml"}) == tmp_path / "models.toml"


def test_the_repr_shows_no_key_of_the_environment() -> None:
    settings = read_settings({"FAL_KEY": "secret-key", "PASSWORD": "hunter2", "LTX_MCP_HOME": "/srv/ltx"})
    assert settings.lookup("FAL_KEY") == "secret-key"
    assert "/srv/ltx" in repr(settings)
    for hidden in ("secret-key", "hunter2", "FAL_KEY"):
        assert hidden not in repr(settings)
        assert hidden not in str(settings)


def test_a_short_signing_key_is_refused_and_not_repeated() -> None:
    with pytest.raises(SetupError, match=r"LTX_MCP_SIGNING_KEY cannot be used; .*at least 32 characters") as raised:
        read_settings({"LTX_MCP_SIGNING_KEY": f"{'k' * 32},hunter2"})
    assert "hunter2" not in str(raised.value)


def test_logins_are_read_as_they_are_written() -> None:
    keys = ("k" * 32, "\u00fc" * 40)
    given = {
        "OIDC_ISSUER": " https://login.example.com/ , https://b.example ",
        "PUBLIC_URL": "https://films.example.com/",
        "TOKENS_FILE": "/srv/tokens.toml",
        "SIGNING_KEY": ", ".join(keys),
    }
    settings = read_settings({f"LTX_MCP_{name}": value for name, value in given.items()})
    assert settings.oidc_issuers == ("https://login.example.com/", "https://b.example")
    assert settings.oidc_audience == "https://films.example.com/mcp"
    assert settings.tokens_file == Path("/srv/tokens.toml")
    assert settings.signing_keys == keys
    assert keys[0] not in repr(settings)
    assert read_settings({"LTX_MCP_OIDC_AUDIENCE": "api://films"}).oidc_audience == "api://films"
    assert not read_settings({"LTX_MCP_SIGNING_KEY": keys[0]}).has_login


def test_every_setting_is_described_for_the_table() -> None:
    for row in described():
        assert row["name"].startswith("LTX_MCP_")
        assert row["meaning"]
        assert row["default"]


# -- what can be ordered ------------------------------------------------------------------------------------------


def test_a_provider_nobody_knows_is_refused_naming_the_setting_and_who_there_is(edge: Edge) -> None:
    with pytest.raises(SetupError, match=r"LTX_MCP_PROVIDERS names 'sora', which is none of .*local"):
        edge(PROVIDERS="local,sora")


def test_an_overlay_replaces_the_offer_of_its_model_and_operation(edge: Edge, tmp_path: Path) -> None:
    catalog = edge(MODELS=overlay(tmp_path, OVERLAY.format(model="preview")))
    shipped = next(facts for facts in read_providers() if facts.name == "local")
    seconds = {row.operation: str(row.limits[0].duration) for row in shipped.offer}
    assert {row.operation: str(row.limits[0].duration) for row in catalog.facts("local").offer} == seconds | {
        "text_to_video": "3"
    }
    assert len(catalog.facts("local").offer) == len(shipped.offer)


def test_an_overlay_adds_an_offer_of_another_model(edge: Edge, tmp_path: Path) -> None:
    before = edge().facts("local")
    after = edge(MODELS=overlay(tmp_path, OVERLAY.format(model="sketch"))).facts("local")
    assert after.offer[:-1] == before.offer
    assert (after.offer[-1].model, after.title) == ("sketch", before.title)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OVERLAY.format(model="preview") + "\nslots = = 2", "models.toml"),
        (OVERLAY.format(model="preview").replace('name = "local"', 'name = "sora"'), "name must be one of .*local"),
        ("slots = 2", "name must be one of .*local"),
        (OVERLAY.format(model="preview").replace("endpoint =", "endpiont ="), "endpiont"),
        (OVERLAY.format(model="preview").replace('"720p"', '"721p"'), "resolution"),
        ('name = "local"\nslots = "many"', "slots"),
    ],
)
def test_a_broken_overlay_is_refused_naming_the_setting(edge: Edge, tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SetupError, match=rf"(?s){words}.*LTX_MCP_MODELS"):
        edge(MODELS=overlay(tmp_path, text))


def test_an_overlay_that_is_not_there_is_refused_naming_the_setting(edge: Edge, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"(?s)nothere\.toml.*LTX_MCP_MODELS"):
        edge(MODELS=str(tmp_path / "nothere.toml"))


@pytest.mark.parametrize(
    "overlay",
    [
        'name = ["local"]',
        'name = "local"\noffer = 3',
        'name = "local"\noffer = [3]',
        'name = "local"\n[[offer]]\nmodel = ["x"]',
    ],
)
def test_an_overlay_of_another_shape_is_refused_by_name(tmp_path: Path, overlay: str) -> None:
    path = tmp_path / "facts.toml"
    path.write_text(overlay, encoding="utf-8")
    with pytest.raises(SetupError, match="LTX_MCP_MODELS"):
        read_providers(path)


def test_a_database_of_another_kind_is_refused_without_showing_its_password() -> None:
    with pytest.raises(SetupError, match="postgresql://user:password") as caught:
        read_settings({"LTX_MCP_DATABASE_URL": "mysql://u:s3cret@host/db"})
    assert "s3cret" not in str(caught.value)


def test_the_address_of_the_database_is_not_in_what_settings_show() -> None:
    assert "s3cret" not in repr(read_settings({"LTX_MCP_DATABASE_URL": "postgresql://u:s3cret@host/db"}))


@pytest.mark.parametrize("value", ["0", "-1", "+5", "1.5", "1e3", "many", "٠", "1000001", "9" * 5000])
def test_only_a_whole_number_of_jobs_may_be_live(value: str) -> None:
    with pytest.raises(SetupError, match=r"LTX_MCP_MAX_LIVE_JOBS=.*number of jobs, at least 1 and at most 1000000"):
        read_settings({"LTX_MCP_MAX_LIVE_JOBS": value})


def test_a_hundred_jobs_of_a_caller_may_be_live_where_nothing_is_set(catalog: Catalog) -> None:
    for given, most in (({}, 100), ({"LTX_MCP_MAX_LIVE_JOBS": " 7 "}, 7), ({"LTX_MCP_MAX_LIVE_JOBS": ""}, 100)):
        assert make_config(read_settings(given), catalog, paths=False).max_live_jobs == most


def test_eight_connections_are_made_to_the_database_where_nothing_is_set(catalog: Catalog) -> None:
    for given, most in (({}, 8), ({"LTX_MCP_DATABASE_CONNECTIONS": "2"}, 2)):
        assert make_config(read_settings(given), catalog, paths=False).database_connections == most
    with pytest.raises(SetupError, match="connections, at least 1 and at most 1000"):
        read_settings({"LTX_MCP_DATABASE_CONNECTIONS": "0"})


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "soon", "9999999", "9" * 5000])
def test_only_whole_days_are_kept(days: str) -> None:
    with pytest.raises(SetupError, match="at least 1"):
        read_settings({"LTX_MCP_KEEP_DAYS": days})


def test_days_to_keep_are_off_by_default() -> None:
    assert read_settings({}).keep_days is None
    assert read_settings({"LTX_MCP_KEEP_DAYS": "30"}).keep_days == 30
