"""Lines of runs that were made before a field was added are read, and written again, as they were."""

from __future__ import annotations

import pytest

from aotd.records import Event, TextFinding, Trace

OLD = (
    '{"question_id":"q","frames":8,"start_s":0.0,"end_s":9.5,"width":64,"height":48,"events":['
    '{"step":0,"tool":"Video_query","frames":[0,1],"query":"What?","info":[],"finding":{"kind":"text","text":"a cup"}},'
    '{"step":1,"tool":"select_answer","frames":[],"query":"Which?","info":[["it","a cup"]],'
    '"finding":{"kind":"text","text":"The cup."}}],"answer":"The cup.","tries":2,"code":null}'
)


def test_old_trace_round_trips_byte_for_byte() -> None:
    trace = Trace.model_validate_json(OLD)
    assert trace.model_dump_json() == OLD
    assert (trace.agent, trace.events[0].thought, trace.events[0].arguments, trace.events[0].observation) == (
        *("", ""),
        {},
        "",
    )


@pytest.mark.parametrize(
    "fields", [{"thought": "I look."}, {"arguments": {"clip": {"frames": [0, 4]}}}, {"observation": "A cup."}]
)
def test_new_fields_of_an_event_round_trip(fields: dict[str, object]) -> None:
    event = Event(step=0, tool="Look", frames=(), query="", finding=TextFinding(text="x"), **fields)  # type: ignore[arg-type]
    line = event.model_dump_json()
    assert Event.model_validate_json(line) == event
    assert set(event.model_dump()) - {"step", "tool", "frames", "query", "info", "finding"} == set(fields)


def test_agent_of_a_trace_round_trips() -> None:
    trace = Trace.model_validate_json(OLD).model_copy(update={"agent": "react"})
    assert '"agent":"react"' in trace.model_dump_json()
    assert Trace.model_validate_json(trace.model_dump_json()) == trace
