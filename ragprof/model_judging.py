"""A model's opinion of the answers beside the gold labels, written into an injection recording that is judged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ragprof import files
from ragprof.corpus import EvaluationSet
from ragprof.judge.answers import gold_answers
from ragprof.judge.model_judge import AnswerToJudge, agreement, judge_prompt, verdict
from ragprof.progress import Progress
from ragprof.record.injection.answering import answer_prompts
from ragprof.record.injection.plan import OWN
from ragprof.stages import Generator


def judge_by(
    judge: Generator, folder: Path, evaluation: EvaluationSet, *, cache: Path, seed: int, progress: Progress
) -> None:
    """Ask the judge about every answer in the pipelines' own settings, and add its agreement to judgement.json.

    Each distinct question is put to it once, over all runs. The recording must still hold the answers' words.
    """
    recording = folder / "injection"
    answers = _answers(recording)
    questions = {query.query_id: query for query in evaluation.queries}
    prompts = {
        place: judge_prompt(AnswerToJudge(questions[key].text, tuple(gold_answers(questions[key])), text))
        for place, key, text in zip(answers.index, answers["query_id"].tolist(), answers["text"].tolist(), strict=True)
    }
    replies, _ = answer_prompts(judge, {prompt: prompt for prompt in prompts.values()}, cache=cache, progress=progress)
    labels = pd.Series({key: verdict(replies[prompt].text) for key, prompt in prompts.items()}, dtype=object)
    judges = {
        str(name): {
            "model": judge.model_name,
            **agreement(labels[rows.index].tolist(), [bool(each) for each in rows["correct"]], seed=seed),
            "unparsable": int(labels[rows.index].isna().sum()),
        }
        for name, rows in answers.groupby("pipeline", sort=False)
    }
    judgement = files.read_json(recording / "judgement.json")
    files.write_json(recording / "judgement.json", {**judgement, "judges": judges})


def _answers(place: Path) -> pd.DataFrame:
    """pipeline, query_id, text and correct of every judged answer in a pipeline's own setting."""
    keys = ["pipeline", "setting", "query_id"]
    prompts = files.read_table(place / "prompts.parquet")[[*keys, "digest"]]
    judged = files.read_table(place / "judged.parquet")[[*keys, "correct"]].dropna()
    texts = files.read_table(place / "answers.parquet")[["digest", "text"]]
    whole = prompts[prompts["setting"] == OWN].merge(judged, on=keys).merge(texts, on="digest")
    return whole.reset_index(drop=True)
