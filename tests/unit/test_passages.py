"""Passages: a case's text in pieces, and what they leave of an answer that would close it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.cases import Case
from countersign.confidence import SecondOpinion, confidence_of
from countersign.passages import MOST, against, doubted, pieces
from countersign.policy import Rule, When
from countersign.ports import Completion
from countersign.prompts import Prompt
from countersign.redaction import Redactor
from countersign.severity import Severity
from countersign.spans import case_text
from tests.unit.builders import ALERT, ASSESSMENT, CASE, TICKET, shipped

POLICY = shipped()


def _quiet(one: SecondOpinion) -> bool:
    return one.category == "informational"


# Words as people and machines write them, with all that ends a passage.
WORDS = st.text(alphabet="ab ⟦⟧[]()=/\n.,;!?<>\u202e", max_size=80)


def _text(title: str, body: str) -> str:
    case = replace(
        CASE,
        alerts=(replace(ALERT, summary=title, body=body),),
        ticket=replace(TICKET, title=title, description=body),
    )
    return case_text(case, frozenset({"summary", "body"}), Redactor()).text


@given(title=WORDS, body=WORDS, more=WORDS)
def test_added_text_adds_pieces_and_takes_none_away(title: str, body: str, more: str) -> None:
    """Whatever is written below a title or a text, every piece of it is still read by itself."""
    clean = set(pieces(_text(f"Disk full {title}.", f"It says {body}.")))
    assert clean <= set(pieces(_text(f"Disk full {title}.\n\n{more}", f"It says {body}.")))
    assert clean <= set(pieces(_text(f"Disk full {title}.", f"It says {body}.\n\n{more}")))


class ByWord:
    """A reader that finds an outage wherever a text says so, and else is rather sure that there is none."""

    name = "by word"

    def most(self, prompt: Prompt) -> int | None:
        return 0

    def complete(self, prompt: Prompt) -> Completion:
        raise NotImplementedError

    def read(self, texts: Sequence[str], categories: Sequence[str] = ()) -> Sequence[SecondOpinion]:
        quiet = SecondOpinion(category="informational", confidence=0.95, severity=Severity.INFO)
        worse = replace(quiet, severity=Severity.MEDIUM)
        loud = SecondOpinion(category="availability", confidence=0.8, severity=Severity.LOW)
        full = SecondOpinion(category="capacity", confidence=0.8, severity=Severity.LOW)
        unsure = replace(quiet, confidence=0.5)
        words = {"well": quiet, "down": loud, "slow": worse, "full": full, "zorbled": unsure}
        return [next((one for word, one in words.items() if word in text), quiet) for text in texts]


def test_one_piece_can_not_be_talked_over_by_another() -> None:
    """Read as a whole all is well; the sentence that says otherwise is read by itself, and named."""
    found = against(_text("Report", "The shop is down. All is well."), ByWord().read, _quiet)
    assert found.loudest is not None
    assert (found.loudest.category, found.loudest.of) == ("availability", "The shop is down.")
    assert found.least == pytest.approx(0.2)


def test_a_text_of_too_many_pieces_is_for_people() -> None:
    """What can't be checked piece by piece leaves no certainty."""
    text = "\n".join(["[a1] ⟦Report⟧ (alert)", f"[t1] ⟦x⟧ text=⟦{'. '.join(map(str, range(MOST + 1)))}⟧"])
    found = against(text, ByWord().read, _quiet)
    assert (found.least, found.loudest and found.loudest.category) == (0.0, "too long to be checked")


def _doubted(body: str, *, is_llm: bool) -> tuple[Completion, SecondOpinion | None]:
    case = Case(
        id="c1", use_case="alert-triage", fingerprint="f", alerts=(replace(ALERT, body=body),), alert_count=1,
        firing=1, first_at=ALERT.occurred_at, last_at=ALERT.occurred_at,
    )  # fmt: skip
    text = case_text(case, frozenset({"summary", "body"}), Redactor())
    prompt = Prompt(name="t", hash="0", shared="", case=text, schema={})
    told = Completion(text="", model="m", is_llm=is_llm, confidence=None if is_llm else 0.99)
    return doubted(told, ASSESSMENT, prompt, case, POLICY, ByWord())


def test_the_embedded_model_is_no_surer_than_its_least_sure_piece() -> None:
    """Its figure is the least over the pieces, whatever the whole text gives."""
    quiet, loud = (_doubted(body, is_llm=False) for body in ("It ended.", "The shop is down. All is well."))
    assert quiet[0].confidence == 0.95
    assert loud[0].confidence == pytest.approx(0.2)


def test_a_language_model_keeps_its_word_and_gets_the_reading_against_it() -> None:
    """Its own figure is not the reader's to change; a sure reading against it halves it later."""
    completion, second = _doubted("The shop is down. All is well.", is_llm=True)
    assert completion.confidence is None
    assert second is not None
    assert second.category == "availability"
    assert _doubted("It ended.", is_llm=True)[1] is None


def test_a_language_model_s_word_alone_is_not_enough() -> None:
    """Where its reader does not know what a piece is, that speaks against it, whatever the likeliest guess."""
    _, second = _doubted("It zorbled. All is well.", is_llm=True)
    assert second is not None
    assert confidence_of("informational", 0.9, second=second).figure == pytest.approx(0.45)
    assert _doubted("It zorbled. All is well.", is_llm=False)[0].confidence == 0.5


@pytest.mark.parametrize(
    ("body", "least"), [("The shop is down.", 0.8), ("The shop is down. All is well.", 0.05)]
)
def test_a_group_wants_every_piece_too(body: str, least: float) -> None:
    """A ticket that a rule gives to a group: a piece that would leave it where it is takes the certainty away."""
    theirs = Rule(name="theirs", when=When(category=("availability",)), then="draft_note", route="platform")
    policy = POLICY.model_copy(update={"rules": (theirs, POLICY.rules[-1])})
    text = _text("The shop is down", body)
    prompt = Prompt(name="t", hash="0", shared="", case=Redactor().redact(text), schema={})
    told = Completion(text="", model="m", is_llm=False, confidence=0.99)
    said = replace(ASSESSMENT, category="availability")
    case = replace(CASE, ticket=None)
    assert doubted(told, said, prompt, case, policy, ByWord())[0].confidence == pytest.approx(least)


@pytest.mark.parametrize("is_llm", [True, False])
def test_a_severity_is_not_talked_down_either(is_llm: bool) -> None:
    """A piece of the same category that is worse by itself than the rule closes is a reading against it."""
    completion, second = _doubted("The shop is slow. All is well.", is_llm=is_llm)
    assert second is not None
    assert (second.category, second.severity) == ("informational", Severity.MEDIUM)
    told = confidence_of("informational", 0.9, second=second)
    assert told.figure == pytest.approx(0.45)
    assert told.doubts == (
        "the local classifier reads “The shop is slow.” as informational of severity medium",
    )
    assert is_llm or completion.confidence == pytest.approx(0.05)


def test_an_answer_that_has_nothing_done_is_not_read_in_pieces() -> None:
    """A note changes nothing, and pieces cost time."""
    told = Completion(text="", model="m", is_llm=False, confidence=0.9)
    said = replace(ASSESSMENT, category="availability")
    prompt = Prompt(name="t", hash="0", shared="", case=Redactor().redact("[a1] ⟦down⟧"), schema={})
    assert doubted(told, said, prompt, CASE, POLICY, ByWord()) == (told, None)


@pytest.mark.parametrize(("body", "least"), [("It grows.", 0.8), ("It grows. All is well.", 0.05)])
def test_a_change_request_wants_every_piece_too(body: str, least: float) -> None:
    """A piece that is read as something else takes the certainty away, whatever the whole is read as."""
    told = Completion(text="", model="m", is_llm=False, confidence=0.99)
    prompt = Prompt(
        name="t", hash="0", shared="", case=Redactor().redact(_text("Disk is full", body)), schema={}
    )
    said = replace(ASSESSMENT, category="capacity")
    completion, _ = doubted(told, said, prompt, CASE, POLICY, ByWord())
    assert completion.confidence == pytest.approx(least)
