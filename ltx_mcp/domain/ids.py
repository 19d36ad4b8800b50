"""Ids as models write them. By itself, because the list of tools needs no more than this of how media are named."""

_AROUND = " \t\r\n\"'`\u201c\u201d\u2018\u2019\u00a0"


def bare_id(text: str) -> str:
    """The id in what models make of one: `` `job_…` ``, "job_…", ltx://jobs/job_…, with blanks around it."""
    return text.strip(_AROUND).removeprefix("ltx://jobs/").strip(_AROUND)
