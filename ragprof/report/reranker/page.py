"""The reranker's statement on one page of GitHub Markdown, for whoever pays and has never heard of a metric."""

from __future__ import annotations

from ragprof.report import figures
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.markdown import escaped
from ragprof.report.reranker import money_words, page_words, study

_WHOLE = 2
_MOST_LIMITS = 2
_GLOSSARY = (
    ("Reranker", "reads the question together with each passage that search found, and puts the best ones first."),
    ("Passage", "a piece of a document; the first few go into the prompt of the LLM that answers."),
    ("95% interval", "how far the luck of these questions reaches: 95 of 100 such ranges hold the true figure."),
    ("Net", "what the reranker costs less what shorter prompts save; above 0 it costs money, below 0 it saves."),
)


def render_reranker_page(summary: Summary) -> str:
    """Verdicts in words, what is bought, paid and saved, what else would do, how sure. Ends with a newline.

    The first two pipelines are told in full, further ones in a sentence, so that it stays one page. Without the
    section it says that there is none.
    """
    title = escaped(figures.text(at(summary, "title") or at(summary, "eval")))
    head = f"# Is the reranker worth it? {title}"
    names = study.names(summary)
    if not names:
        return f"{head}\n\nNo reranker was looked at in this recording.\n"
    parts = [
        head,
        *_answers(summary),
        *(_told(summary, name) for name in names[:_WHOLE]),
        _others(summary, names[_WHOLE:]),
        _limits(summary),
        _glossary(summary),
        _origin(summary),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _answers(summary: Summary) -> list[str]:
    """A row a pipeline: the verdict and its reason in one sentence."""
    lines = ["| Pipeline | Verdict | Why |", "| :--- | :--- | :--- |"]
    for name in study.names(summary):
        one = study.of(summary, name)
        verdict = f"**{escaped(study.verdict_words(one))}**: {escaped(page_words.advised(one))}"
        lines.append(f"| {escaped(name)} | {verdict} | {escaped(figures.text(at(one, 'reason')))} |")
    return ["\n".join(lines)]


def _told(summary: Summary, name: str) -> str:
    one = study.of(summary, name)
    reranker, against = at(one, "reranker"), at(one, "against")
    what = f" ({escaped(str(reranker))}, against {escaped(figures.text(against))})" if reranker else ""
    points = {
        "What it buys": page_words.bought(summary, name),
        "What it takes": page_words.waited(one),
        "What it costs and saves": money_words.paid(one),
        "What else would buy the same": page_words.instead(one),
        "What this rests on": at(one, "sensitive_to", "sentence") or figures.ABSENT,
        "Where it breaks even": _flips(one),
        "At other prices": money_words.elsewhere(one),
        "What limits quality": at(one, "headroom", "sentence") or figures.ABSENT,
        "How deep, and for whom": _narrower(one),
        "How sure we are": page_words.sure(summary, name),
    }
    lines = [f"- **{title}.** {escaped(words)}" for title, words in points.items() if words]
    return f"## {escaped(name)}: {escaped(study.verdict_words(one))}{what}\n\n" + "\n".join(lines)


def _flips(one: object) -> str:
    places = ("reranker_usd", "llm_usd_per_million_tokens", "queries_per_month")
    found = [at(one, "statement", "break_even", place) for place in places]
    flipping = [each for each in found if at(each, "value") is not None]
    said = [at(each, "sentence") for each in flipping or found[:1]]
    return " ".join(str(sentence) for sentence in said if sentence) or figures.ABSENT


def _narrower(one: object) -> str:
    """What the reranker does from fewer candidates, and for the queries that need it."""
    places = ("knee", "falls_from", "routing_choice", "truncation")
    said = [at(one, place, "sentence") for place in places]
    return " ".join(str(sentence) for sentence in said if sentence)


def _others(summary: Summary, names: list[str]) -> str:
    """Further pipelines, a sentence each."""
    lines = [f"- **{escaped(name)}.** {escaped(page_words.bought(summary, name))}" for name in names]
    return "## Further pipelines\n\n" + "\n".join(lines) if lines else ""


def _limits(summary: Summary) -> str:
    found = list(entries(summary, "reranker_study", "notes"))[:_MOST_LIMITS]
    return "**Mind.** " + " ".join(escaped(str(note)) for note in found) if found else ""


def _glossary(summary: Summary) -> str:
    metrics = " or ".join(dict.fromkeys(study.metric(summary, name) for name in study.names(summary)))
    score = (
        metrics,
        "a score of the order, from 0 to 1: how near the first passages are to the best order that exists.",
    )
    lines = [f"- **{escaped(word)}**: {escaped(meaning)}" for word, meaning in (*_GLOSSARY, score)]
    return "**Words**\n\n" + "\n".join(lines)


def _origin(summary: Summary) -> str:
    created, version = figures.day(at(summary, "created")), figures.text(at(summary, "ragprof_version"))
    corpus = figures.count(at(summary, "corpus", "docs"))
    origin = f"ragprof {version}, {created}, {corpus} passages. The whole statement: report.html."
    return f"<sub>{escaped(origin)}</sub>"
